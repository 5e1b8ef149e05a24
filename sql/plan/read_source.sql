-- Purpose: what a worker needs to read the source of a mirror. $1 schema, $2 table, as the catalog spells them, $3 columns that
--   are mirrored or mentioned. No row: there is no such table.
--   computed: those of them that are virtual generated columns (since 18), of whose values triggers see nothing.
-- Locks: catalogs only. Index: pg_class_relname_nsp_index. Repeat: only reads.
SELECT has_table_privilege(c.oid, 'SELECT') AS may_select_all,
       has_database_privilege(current_database(), 'TEMPORARY') AS may_make_temporary,
       ARRAY(SELECT a.attname::text FROM pg_attribute a
              WHERE a.attrelid = c.oid AND a.attnum > 0 AND a.attname::text = ANY ($3::text[]) AND a.attgenerated = 'v' ORDER BY a.attnum) AS computed
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1::name AND c.relname = $2::name
