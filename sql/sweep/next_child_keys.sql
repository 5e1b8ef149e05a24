-- Purpose: the next distinct keys of the children, in the order of the index. Their own duplicates behind the last one are
--   skipped by the next call. $1 … the last key, column by column, where there is one; then the row limit.
-- Locks: ACCESS SHARE. Index: one that leads with the child columns; without one it sorts.
-- Repeat: only reads.
WITH s AS MATERIALIZED (
  SELECT "{columns}" FROM "{child}" AS child WHERE "{match}" ORDER BY "{columns}" LIMIT $"{limit}"
)
SELECT ARRAY["{texts}"]::pg_catalog.text[] AS key, (SELECT pg_catalog.count(*) FROM s) AS read
  FROM (SELECT DISTINCT * FROM s) child ORDER BY "{columns}"
