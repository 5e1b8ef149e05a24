-- Purpose: what a worker needs to read the source of a mirror. $1 schema, $2 table, as the catalog spells them. No row: there is
--   no such table.
-- Locks: catalogs only. Index: pg_class_relname_nsp_index. Repeat: only reads.
SELECT has_table_privilege(c.oid, 'SELECT') AS may_select_all,
       has_database_privilege(current_database(), 'TEMPORARY') AS may_make_temporary
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1::name AND c.relname = $2::name
