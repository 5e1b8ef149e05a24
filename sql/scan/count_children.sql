-- Purpose: how many children that the definition means each key has in one leaf, at most so many a key.
--   $1 … the columns of the keys, then the limit.
-- Locks: ACCESS SHARE. Index: one that leads with the child columns. Repeat: only reads.
SELECT k.ord, c.rows
  FROM ROWS FROM ("{keys}") WITH ORDINALITY AS k("{names}", ord)
 CROSS JOIN LATERAL (
   SELECT pg_catalog.count(*) AS rows FROM (SELECT FROM ONLY "{leaf}" AS child WHERE "{match}" LIMIT $"{limit}") AS found) AS c
