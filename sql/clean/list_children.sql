-- Purpose: rows of one very wide parent in one leaf, read once and then cleaned slice by slice. A LIMIT in each slice would
--   walk again, every time, over what the slices before have left in the index. $1 … the columns of the key, then the limit.
--   The answer is one value, six bytes a row: the number of its page and its place in that page, as the server sends a tid.
-- Locks: ACCESS SHARE. Index: one that leads with the child column. Repeat: only reads; a row that has moved since is found
--   by the next list.
SELECT pg_catalog.string_agg(pg_catalog.tidsend(c.row), '') AS rows
  FROM (SELECT child.ctid AS row FROM ONLY "{leaf}" AS child WHERE "{match}" LIMIT $"{limit}") c
