-- Purpose: a table with its partitions and inheritance children (the root first), and with what it is itself a part of.
--   $1 schema, $2 table, as the catalog spells them.
-- Locks: catalogs, and ACCESS SHARE on the tables for the moment of their size. Index: pg_class_relname_nsp_index,
--   pg_inherits_parent_index, pg_inherits_relid_seqno_index. Repeat: only reads.
WITH RECURSIVE root(rel) AS (
  SELECT c.oid FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
   WHERE n.nspname = $1::name AND c.relname = $2::name
), tree(rel) AS (
  SELECT r.rel FROM root r
  UNION
  SELECT i.inhrelid FROM tree t JOIN pg_inherits i ON i.inhparent = t.rel
), above(rel) AS (
  SELECT i.inhparent FROM root r JOIN pg_inherits i ON i.inhrelid = r.rel
  UNION
  SELECT i.inhparent FROM above a JOIN pg_inherits i ON i.inhrelid = a.rel
), every(rel, above) AS (
  SELECT t.rel, false FROM tree t
  UNION ALL
  SELECT a.rel, true FROM above a
)
SELECT c.oid::int8 AS id, n.nspname::text AS schema, c.relname::text AS name, e.above,
       c.relkind::text AS kind, c.relpersistence::text AS persistence,
       EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = c.oid) AS has_children,
       EXISTS (SELECT FROM pg_inherits i WHERE i.inhrelid = c.oid) AS has_parents,
       CASE WHEN c.relkind = 'r' THEN pg_relation_size(c.oid) ELSE 0 END AS bytes,
       c.reltuples::float8 AS rows,
       row_security_active(c.oid) AS row_security,
       has_schema_privilege(n.oid, 'USAGE') AS may_use_schema,
       has_table_privilege(c.oid, 'TRIGGER') AS may_trigger,
       has_table_privilege(c.oid, 'DELETE') AS may_delete,
       COALESCE(has_column_privilege(c.oid, (-1)::int2, 'SELECT'), false) AS may_select_ctid,
       EXISTS (SELECT FROM pg_trigger g JOIN pg_proc f ON f.oid = g.tgfoid JOIN pg_namespace l ON l.oid = f.pronamespace
                WHERE g.tgrelid = c.oid AND l.nspname = 'lfk' AND g.tgenabled IN ('O', 'A')) AS covered,
       ARRAY(SELECT w.rulename::text FROM pg_rewrite w
              WHERE w.ev_class = c.oid AND w.ev_type = '4' AND w.ev_enabled IN ('O', 'A') ORDER BY 1) AS delete_rules,
       ARRAY(SELECT w.rulename::text FROM pg_rewrite w
              WHERE w.ev_class = c.oid AND w.ev_type = '2' AND w.ev_enabled IN ('O', 'A') ORDER BY 1) AS update_rules,
       -- Of pg_trigger.tgtype, 1 is ROW, 2 is BEFORE, 8 is DELETE and 16 is UPDATE.
       ARRAY(SELECT g.tgname::text FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal
                AND g.tgenabled IN ('O', 'A') AND g.tgtype::int4 & 11 = 11 ORDER BY 1) AS delete_triggers,
       ARRAY(SELECT g.tgname::text FROM pg_trigger g WHERE g.tgrelid = c.oid AND NOT g.tgisinternal
                AND g.tgenabled IN ('O', 'A') AND g.tgtype::int4 & 19 = 19 ORDER BY 1) AS update_triggers,
       -- A partition key's columns, those inside its expressions among them, depend on the table as a whole.
       ARRAY(SELECT a.attname::text FROM pg_depend d JOIN pg_attribute a ON a.attrelid = d.objid AND a.attnum = d.objsubid
              WHERE c.relkind = 'p' AND d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.objsubid > 0
                AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND d.refobjsubid = 0
                AND d.deptype = 'i' ORDER BY a.attnum) AS partition_columns
  FROM every e JOIN pg_class c ON c.oid = e.rel JOIN pg_namespace n ON n.oid = c.relnamespace
 ORDER BY e.above, e.rel <> (SELECT r.rel FROM root r), n.nspname, c.relname
