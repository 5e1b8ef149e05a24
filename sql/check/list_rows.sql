-- Purpose: the rows of a chunk of one side, one by one: key and hash. No hash: the row does not count.
-- Locks: ACCESS SHARE. Index: one that begins with the key. Repeat: only reads.
SELECT ARRAY["{texts}"]::text[] AS key, s.lfk_h AS hash FROM ("{rows}") s ORDER BY "{order}"
