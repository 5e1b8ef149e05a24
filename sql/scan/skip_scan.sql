-- Purpose: the next distinct keys of one leaf of the child, one step down the index for each: cheaper than reading every
--   entry where keys have many children. The outer LIMIT ends the recursion. $1 … the last key, column by column, where there
--   is one; then the limit.
-- Locks: ACCESS SHARE. Index: one that begins with what the condition fixes and then the child columns.
-- Repeat: only reads.
WITH RECURSIVE s AS (
  (SELECT "{columns}" FROM ONLY "{leaf}" AS child WHERE "{first}" ORDER BY "{order}" LIMIT 1)
  UNION ALL
  SELECT n.* FROM s AS k CROSS JOIN LATERAL (
    SELECT "{columns}" FROM ONLY "{leaf}" AS child WHERE "{next}" ORDER BY "{order}" LIMIT 1) AS n
)
SELECT ARRAY["{texts}"]::pg_catalog.text[] AS key, 1::pg_catalog.int8 AS rows, 0::pg_catalog.int8 AS read FROM s AS child LIMIT $"{limit}"
