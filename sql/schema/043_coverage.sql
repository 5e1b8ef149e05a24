-- Purpose: which triggers each relation in the tree of a tracked table has and lacks. A trigger counts when it calls our
--   function and is enabled. Above a foreign table the triggers with transition tables are unwanted: with them every
--   DELETE and UPDATE of the root would fail.
--   outcome: how the relation stands once missing triggers are made: covered, disabled, foreign_table or not_allowed
--   (missing is then empty). known: what lfk.cover noted last.
-- Locks: ACCESS SHARE on catalogs. Index: pg_trigger by relation, pg_inherits by parent. Repeat: only reads.
CREATE OR REPLACE FUNCTION lfk.coverage(track_id integer)
RETURNS TABLE (relation oid, name text, missing text[], unwanted text[], outcome text, detail text, known text)
LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $coverage$
  WITH tracked AS (
    SELECT t.table_id, t.relation, CASE WHEN t.mirror IS NULL THEN '{d,u,t}'::text[] ELSE '{d,u,t,i}' END AS ops
      FROM lfk.tracked t WHERE t.table_id = track_id
  ), fn AS (
    SELECT f.op, to_regprocedure(format('lfk.lfk_%s_%s()', track_id, f.op))::oid AS oid FROM tracked t, unnest(t.ops) f(op)
  ), tree AS MATERIALIZED (
    SELECT w.relation, w.path, c.relkind, c.relname, n.nspname, c.relowner, n.oid AS schema_oid
      FROM tracked t, lfk.tree(t.relation) w JOIN pg_class c ON c.oid = w.relation JOIN pg_namespace n ON n.oid = c.relnamespace
  ), above AS MATERIALIZED (
    SELECT DISTINCT a AS relation FROM tree f, unnest(f.path) a WHERE f.relkind = 'f'
  ), facts AS MATERIALIZED (
    SELECT w.*, a.relation IS NOT NULL AS above_foreign,
           ARRAY(SELECT f.op FROM fn f
                  WHERE NOT EXISTS (SELECT FROM pg_trigger g WHERE g.tgrelid = w.relation AND g.tgfoid = f.oid)
                    AND (f.op = 't' OR a.relation IS NULL)) AS missing,
           ARRAY(SELECT g.tgname::text FROM pg_trigger g JOIN fn f ON f.oid = g.tgfoid
                  WHERE g.tgrelid = w.relation AND f.op <> 't' AND a.relation IS NOT NULL) AS unwanted,
           (SELECT string_agg(g.tgname::text, ', ' ORDER BY g.tgname) FROM pg_trigger g JOIN fn f ON f.oid = g.tgfoid
             WHERE g.tgrelid = w.relation AND NOT EXISTS (SELECT FROM pg_trigger e WHERE e.tgrelid = w.relation AND e.tgfoid = g.tgfoid AND e.tgenabled IN ('O', 'A'))) AS disabled,
           has_schema_privilege(w.schema_oid, 'USAGE') AS may_enter,
           has_table_privilege(w.relation, 'TRIGGER') AS may_create,
           pg_has_role(w.relowner, 'USAGE') AS owns
      FROM tree w LEFT JOIN above a ON a.relation = w.relation
  )
  SELECT f.relation, f.relation::regclass::text,
         CASE WHEN f.relkind = 'f' OR NOT (f.may_enter AND f.may_create) THEN '{}' ELSE f.missing END,
         CASE WHEN f.owns THEN f.unwanted ELSE '{}' END,
         CASE WHEN f.relkind = 'f' OR f.above_foreign THEN 'foreign_table'
              WHEN cardinality(f.missing) > 0 AND NOT (f.may_enter AND f.may_create) THEN 'not_allowed'
              WHEN f.disabled IS NOT NULL THEN 'disabled'
              ELSE 'covered' END,
         CASE WHEN f.relkind = 'f' THEN 'deletes in a foreign table cannot be logged; detach it, or delete its rows where they are'
              WHEN cardinality(f.unwanted) > 0 AND NOT f.owns
                THEN format('above a foreign table every DELETE fails with our trigger, and only the owner can drop it: DROP TRIGGER %s ON %s', array_to_string(f.unwanted, ', '), f.relation::regclass)
              WHEN f.above_foreign THEN 'there is a foreign table below it: deletes aimed at this table are found by sweeps only'
              WHEN cardinality(f.missing) > 0 AND NOT f.may_enter THEN format('GRANT USAGE ON SCHEMA %I TO %I; GRANT TRIGGER ON TABLE %s TO %I', f.nspname, current_user, f.relation::regclass, current_user)
              WHEN cardinality(f.missing) > 0 AND NOT f.may_create THEN format('GRANT TRIGGER ON TABLE %s TO %I', f.relation::regclass, current_user)
              WHEN f.disabled IS NOT NULL THEN format('ALTER TABLE %s ENABLE TRIGGER %s', f.relation::regclass, f.disabled) END,
         k.outcome
    FROM facts f LEFT JOIN lfk.covered k ON k.table_id = track_id AND k.relation = f.relation
$coverage$;
REVOKE ALL ON FUNCTION lfk.coverage(integer) FROM PUBLIC;
COMMENT ON FUNCTION lfk.coverage(integer) IS 'How each relation in the tree of a tracked table stands: triggers that are missing, in the way, disabled or not allowed.';
