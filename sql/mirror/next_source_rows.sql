-- Purpose: the next rows of the source in the order of its key, as the target is to have them.
--   Binds: the last key, column by column, where there is one; then the row limit.
-- Locks: ACCESS SHARE. Index: the source's key. Repeat: only reads.
SELECT ARRAY["{texts}"]::pg_catalog.text[] AS key, ARRAY["{values}"]::pg_catalog.text[] AS values
  FROM "{source}" AS source WHERE "{behind}" AND "{filter}" ORDER BY "{columns}" LIMIT $"{limit}"
