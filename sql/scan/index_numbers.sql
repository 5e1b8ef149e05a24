-- Purpose: the keys of the next entries of an index on an integer column of the child, in one leaf of it and in their order, as
--   one array: finding the distinct ones here costs as much as sending those that repeat a few times. A last key's further
--   entries are skipped by the next call. $1 … the last key, where there is one; then the limit of entries.
-- Locks: ACCESS SHARE. Index: one that begins with what the condition fixes and then the child column.
-- Repeat: only reads.
SELECT pg_catalog.array_agg(s.key) AS keys
  FROM (SELECT "{repeats}" n.key
          FROM (SELECT child."{column}"::pg_catalog.int8 AS key FROM ONLY "{leaf}" AS child
                 WHERE "{match}" ORDER BY "{order}" LIMIT $"{limit}") AS n) AS s
