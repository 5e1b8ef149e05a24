-- Purpose: how many children each of these keys has in one leaf, as far as it matters: of a key so many at most, and so many of
--   all of them together, which bounds the work whatever the keys are. A key that was not come to is not in the answer.
--   $1 … the columns of the keys, then the most of a key, then the most of all.
-- The lateral LIMIT makes it one walk a key, which ends where enough were found; behind only_by_index.sql, since a bitmap would be
--   made of all children of a key first.
-- Locks: ACCESS SHARE. Index: one that leads with the child column. Repeat: only reads.
SELECT c.ord, pg_catalog.count(*) AS rows
  FROM (SELECT k.ord
          FROM ROWS FROM ("{keys}") WITH ORDINALITY AS k("{names}", ord)
         CROSS JOIN LATERAL (SELECT FROM ONLY "{leaf}" AS child WHERE "{match}" LIMIT $"{most}") one
         LIMIT $"{total}") c
 GROUP BY c.ord
