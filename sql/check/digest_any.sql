-- Purpose: the digest of a chunk of one side, whatever its key: not every type has a max().
-- Locks: ACCESS SHARE. Index: one that begins with the key. Repeat: only reads.
WITH s AS MATERIALIZED ("{rows}")
SELECT count(*) AS read, count(s.lfk_h) AS counted, COALESCE(bit_xor(s.lfk_h), 0) AS xor,
       COALESCE(sum(s.lfk_h & 4294967295), 0)::int8 AS sum,
       (SELECT ARRAY["{texts}"]::text[] FROM s ORDER BY "{backwards}" LIMIT 1) AS last
  FROM s
