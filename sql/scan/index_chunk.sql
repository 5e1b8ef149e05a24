-- Purpose: the distinct keys among the next entries of an index on the child columns, in one leaf of the child. A last key's
--   further entries are skipped by the next call. `rows` counts those that the definition means; the last key is returned
--   even if it has none, because the walk goes on behind it. $1 … the last key, column by column, where there is one; then
--   the row limit.
-- Locks: ACCESS SHARE. Index: one that begins with what the condition fixes and then the child columns.
-- Repeat: only reads.
WITH s AS MATERIALIZED (
  SELECT "{columns}", ("{keep}") IS TRUE AS "lfk keep" FROM ONLY "{leaf}" AS child WHERE "{match}" ORDER BY "{order}" LIMIT $"{limit}"
)
SELECT ARRAY["{texts}"]::pg_catalog.text[] AS key, child."lfk rows" AS rows, (SELECT pg_catalog.count(*) FROM s) AS read
  FROM (SELECT "{columns}", pg_catalog.count(*) FILTER (WHERE child."lfk keep") AS "lfk rows" FROM s AS child GROUP BY "{columns}") AS child
 ORDER BY "{order}"
