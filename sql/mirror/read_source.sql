-- Purpose: how the rows of these keys are now in the source, as the target is to have them. One row a key; a missing row is an
--   error for the caller, never an absence. A row that does not pass the filter counts as absent.
--   Binds: the key columns, each a text[]. Answers the place of the key in them, from 1, and the mirrored values as text (NULL:
--   absent). A standby, which may not have the row yet, answers with no row at all.
-- Locks: ACCESS SHARE. Index: the source's key, a search a key. Repeat: only reads.
SELECT lfk_key.lfk_ord AS ord, lfk_row.lfk_values AS values
  FROM ROWS FROM ("{keys}") WITH ORDINALITY AS lfk_key("{names}", lfk_ord)
  LEFT JOIN LATERAL (SELECT ARRAY["{values}"]::pg_catalog.text[] AS lfk_values FROM "{source}" AS source
                      WHERE "{match}" AND "{filter}" LIMIT 1) AS lfk_row ON true
 WHERE NOT pg_catalog.pg_is_in_recovery()
