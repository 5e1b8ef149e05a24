-- Purpose: only where parent and child share a database: locks children before the statement that deletes them, whose
--   own, later snapshot then sees every parent that came back together with one of them.
--   $1 … the columns of the keys, then the row limit, then the rows where the form has a list of them.
-- Locks: the rows, FOR UPDATE. Index: one that leads with the child column. Repeat: locks them again.
SELECT child.ctid::pg_catalog.text AS row FROM ONLY "{leaf}" AS child
 WHERE "{match}" AND "{rows}" LIMIT $"{limit}" FOR UPDATE "{skip_locked}"
