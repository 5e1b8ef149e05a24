-- Purpose: the re-check of integer keys that lie close together: as recheck.sql, but the parents between the first and the last key are
--   read in one way along the index, where there a way down is gone for each. The caller sees to it that there cannot be many more of
--   them than keys. $1 the keys as text[], $2 the first, $3 the last. Of keys each is asked for once.
-- A full join is carried out by a hash or a merge, never by nested loops, whatever the statistics say; and it answers for each key
--   whether or not it has a partner. DISTINCT, because an inheritance tree may hold a key twice. A standby names no place at all.
-- Locks: ACCESS SHARE. Index: the parent's unique key. Repeat: only reads.
SELECT pg_catalog.array_agg(k.ord) FILTER (WHERE k.ord IS NOT NULL AND p.key IS NOT NULL) AS present,
       pg_catalog.array_agg(k.ord) FILTER (WHERE p.key IS NULL) AS absent,
       "{kinds}" AS kinds
  FROM (SELECT u.key, u.ord FROM ROWS FROM ("{keys}") WITH ORDINALITY AS u(key, ord) WHERE NOT pg_catalog.pg_is_in_recovery()) k
  FULL JOIN (SELECT DISTINCT parent."{column}" AS key FROM "{parent}" AS parent
              WHERE parent."{column}" OPERATOR(pg_catalog.>=) $2::pg_catalog.int8
                AND parent."{column}" OPERATOR(pg_catalog.<=) $3::pg_catalog.int8) p
         ON p.key OPERATOR(pg_catalog.=) k.key
