-- Purpose: the clock of the children's database before the re-check, how the child's columns compare, and what its tree is
--   made of. $1 the child's qualified name, quoted; $2 seconds until the deadline; $3 the child's columns; $4 the event of the
--   action: 4 is DELETE, 2 is UPDATE.
--   Read before every batch: a partition that was attached a moment ago is cleaned like the others, and a column whose
--   collation was changed, a rule, or a view in the table's place, is noticed before anything is taken for clean.
-- Locks: catalogs only. Index: pg_inherits_parent_index. Repeat: only reads.
WITH RECURSIVE clock AS MATERIALIZED (
  SELECT extract(epoch FROM clock_timestamp())::float8 + $2 AS deadline, "{kinds}" AS kinds
), tree(rel) AS (
  SELECT to_regclass($1)::oid
  UNION
  SELECT i.inhrelid FROM tree t JOIN pg_inherits i ON i.inhparent = t.rel
)
SELECT clock.deadline, clock.kinds, to_regclass($1) IS NOT NULL AS found, leaf.relkind, leaf.schema, leaf.name, leaf.ruled
  FROM clock
  LEFT JOIN (SELECT c.oid, c.relkind::text AS relkind, n.nspname::text AS schema, c.relname::text AS name,
                    "{ruled}" AS ruled
               FROM tree JOIN pg_class c ON c.oid = tree.rel JOIN pg_namespace n ON n.oid = c.relnamespace
              WHERE c.relkind <> 'p') leaf ON true
 ORDER BY leaf.oid
