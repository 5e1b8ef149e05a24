-- Purpose: the next keys of the target, in the order of its key. Binds: the last key, column by column, where there is one; then
--   the row limit.
-- Locks: ACCESS SHARE. Index: the target's key. Repeat: only reads.
SELECT ARRAY["{texts}"]::pg_catalog.text[] AS key
  FROM "{target}" AS target WHERE "{behind}" ORDER BY "{columns}" LIMIT $"{limit}"
