-- Purpose: the clock of the children's database before the re-check, and the tables of the child's tree that hold rows.
--   $1 the child's qualified name, quoted; $2 seconds until the deadline.
--   Read before every batch: a partition that was attached a moment ago is cleaned like the others.
-- Locks: catalogs only. Index: pg_inherits_parent_index. Repeat: only reads.
WITH RECURSIVE clock AS MATERIALIZED (
  SELECT extract(epoch FROM clock_timestamp())::float8 + $2 AS deadline
), tree(rel) AS (
  SELECT to_regclass($1)::oid
  UNION
  SELECT i.inhrelid FROM tree t JOIN pg_inherits i ON i.inhparent = t.rel
)
SELECT clock.deadline, to_regclass($1) IS NOT NULL AS found, leaf.schema, leaf.name
  FROM clock
  LEFT JOIN (SELECT c.oid, n.nspname::text AS schema, c.relname::text AS name
               FROM tree JOIN pg_class c ON c.oid = tree.rel JOIN pg_namespace n ON n.oid = c.relnamespace
              WHERE c.relkind = 'r') leaf ON true
 ORDER BY leaf.oid
