-- Purpose: the next rows of one side in the order of the key, as they are: what row hashes are made of, in its binary form. COPY
--   takes no parameters: the bounds come from set_bounds, in the same transaction.
-- Locks: ACCESS SHARE. Index: one that begins with the key. Repeat: only reads.
COPY (SELECT "{values}" FROM "{table}" AS "{alias}" WHERE "{bounds}"
       ORDER BY "{order}" LIMIT pg_catalog.current_setting('lfk.rows')::pg_catalog.int8) TO STDOUT (FORMAT binary)
