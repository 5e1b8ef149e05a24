-- Purpose: the digest of a chunk of one side, whose key is one integer: what was read, what counts, and the last key.
-- Locks: ACCESS SHARE. Index: one that begins with the key. Repeat: only reads.
SELECT count(*) AS read, count(s.lfk_h) AS counted, COALESCE(bit_xor(s.lfk_h), 0) AS xor,
       COALESCE(sum(s.lfk_h & 4294967295), 0)::int8 AS sum, ARRAY[max(s.lfk_k1)::text] AS last
  FROM ("{rows}") s
