-- Purpose: what a worker needs to write the target of a mirror, and what may stand in its way. $1 schema, $2 table, as the catalog
--   spells them, $3 the key's columns, $4 the other columns that are written, $5 those on which UPDATE is needed. No row: there
--   is no such table.
-- Locks: catalogs only. Index: pg_class_relname_nsp_index, and by table. Repeat: only reads.
WITH RECURSIVE t AS MATERIALIZED (
  SELECT c.oid, c.relkind FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE n.nspname = $1::name AND c.relname = $2::name
), tree(rel) AS (
  SELECT t.oid FROM t
  UNION
  SELECT i.inhrelid FROM tree r JOIN pg_inherits i ON i.inhparent = r.rel
), a AS MATERIALIZED (
  SELECT a.attnum, a.attname::text AS name, a.attname::text = ANY ($3::text[] || $4::text[]) AS filled,
         a.attname::text = ANY ($5::text[]) AS updated, a.attnotnull OR y.typnotnull AS not_null,
         a.atthasdef OR a.attidentity <> '' OR y.typdefault IS NOT NULL AS has_default,
         a.attgenerated <> '' OR a.attidentity = 'a' AS generated,
         has_column_privilege(t.oid, a.attnum, 'INSERT') AS may_insert, has_column_privilege(t.oid, a.attnum, 'UPDATE') AS may_update
    FROM t JOIN pg_attribute a ON a.attrelid = t.oid AND a.attnum > 0 AND NOT a.attisdropped JOIN pg_type y ON y.oid = a.atttypid
), u AS MATERIALIZED (
  SELECT x.relname::text AS name, i.indimmediate, i.indpred IS NULL AND i.indnkeyatts = cardinality($3::text[])
         AND NOT EXISTS (SELECT FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(attnum, ord) LEFT JOIN a ON a.attnum = k.attnum
                          WHERE k.ord <= i.indnkeyatts AND (a.name IS NULL OR a.name <> ALL ($3::text[]))) AS of_key
    FROM t JOIN pg_index i ON i.indrelid = t.oid AND i.indisunique JOIN pg_class x ON x.oid = i.indexrelid
)
SELECT has_table_privilege(t.oid, 'SELECT') AS may_select, has_table_privilege(t.oid, 'DELETE') AS may_delete,
       (SELECT bool_and(has_table_privilege(f.oid, r.privilege))
          FROM (VALUES ('mirror_fence', 'SELECT'), ('mirror_fence', 'INSERT'), ('mirror_fence', 'UPDATE'),
                       ('before_image', 'INSERT')) r(name, privilege)
          JOIN pg_class f ON f.relname = r.name AND f.relkind = 'r'
          JOIN pg_namespace l ON l.oid = f.relnamespace AND l.nspname = 'lfk') AS may_hold_fence,
       ARRAY(SELECT a.name FROM a WHERE a.filled AND NOT a.may_insert ORDER BY a.attnum) AS not_insertable,
       ARRAY(SELECT a.name FROM a WHERE a.updated AND NOT a.may_update ORDER BY a.attnum) AS not_updatable,
       ARRAY(SELECT a.name FROM a WHERE NOT a.filled AND a.not_null AND NOT a.has_default ORDER BY a.attnum) AS unfilled,
       ARRAY(SELECT a.name FROM a WHERE a.filled AND a.generated ORDER BY a.attnum) AS generated,
       ARRAY(SELECT u.name FROM u WHERE u.of_key AND NOT u.indimmediate ORDER BY 1) AS deferrable,
       ARRAY(SELECT u.name FROM u WHERE NOT u.of_key ORDER BY 1) AS uniques,
       ARRAY(SELECT w.rulename::text FROM pg_rewrite w
              WHERE w.ev_class = t.oid AND w.ev_type IN ('2', '3', '4') AND w.ev_enabled IN ('O', 'A') ORDER BY 1) AS rules,
       -- Of pg_trigger.tgtype, 1 is ROW, 2 is BEFORE, 4 is INSERT.
       ARRAY(SELECT DISTINCT g.tgname::text FROM tree r JOIN pg_trigger g ON g.tgrelid = r.rel
              WHERE NOT g.tgisinternal AND g.tgenabled IN ('O', 'A') AND g.tgtype::int4 & 3 = 3 ORDER BY 1) AS before_triggers,
       EXISTS (SELECT FROM tree r JOIN pg_trigger g ON g.tgrelid = r.rel
                WHERE NOT g.tgisinternal AND g.tgenabled IN ('O', 'A') AND g.tgtype::int4 & 7 = 7) AS may_be_filled,
       -- A partition key's columns, those inside its expressions among them, depend on the table as a whole.
       ARRAY(SELECT a.name FROM pg_depend d JOIN a ON a.attnum = d.objsubid
              WHERE t.relkind = 'p' AND d.classid = 'pg_class'::regclass AND d.objid = t.oid AND d.objsubid > 0
                AND d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid AND d.refobjsubid = 0
                AND d.deptype = 'i' AND a.name <> ALL ($3::text[]) ORDER BY a.attnum) AS split_by
  FROM t
