-- Purpose: the rows of a chunk of one side, one by one: lists of the columns of their keys and of their hashes, all in the order
--   of the key, in which the rows are read. No hash: the row does not count. One answer with lists costs a fraction of an
--   answer for each row, on both ends.
-- Locks: ACCESS SHARE. Index: one that begins with the key. Repeat: only reads.
SELECT array_agg(s.lfk_h) AS hashes, "{lists}" FROM ("{rows}") s
