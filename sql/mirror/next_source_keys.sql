-- Purpose: the next keys of the source, whatever its filter says, where a page of whole rows could not be read.
--   Binds: the last key, column by column, where there is one; then the row limit.
-- Locks: ACCESS SHARE. Index: the source's key. Repeat: only reads.
SELECT ARRAY["{texts}"]::pg_catalog.text[] AS key
  FROM "{source}" AS source WHERE "{behind}" ORDER BY "{columns}" LIMIT $"{limit}"
