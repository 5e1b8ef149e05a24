-- Purpose: rows of one very wide parent in one leaf, read once and then cleaned slice by slice. A LIMIT in each slice would
--   walk again, every time, over what the slices before have left in the index. $1 … the columns of the key, then the limit.
-- Locks: ACCESS SHARE. Index: one that leads with the child column. Repeat: only reads; a row that has moved since is found
--   by the next list. One answer, since one for each row would cost more than the look.
SELECT pg_catalog.array_agg(c.row) AS rows
  FROM (SELECT child.ctid::pg_catalog.text AS row FROM ONLY "{leaf}" AS child WHERE "{match}" LIMIT $"{limit}") c
