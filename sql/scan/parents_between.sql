-- Purpose: the parents between two keys of an integer column, in their order and as one array: where most of them are asked for, one
--   way along the index costs a fraction of a way down for each. A full answer ends at its last key. kinds says how the parent's
--   column compares; a standby answers for nothing. $1 the first key, $2 the last one, $3 the limit.
-- Locks: ACCESS SHARE. Index: the parent's unique key. Repeat: only reads.
SELECT pg_catalog.array_agg(p.key) AS keys, "{kinds}" AS kinds, pg_catalog.pg_is_in_recovery() AS standby
  FROM (SELECT parent."{column}"::pg_catalog.int8 AS key FROM "{parent}" AS parent
         WHERE parent."{column}" OPERATOR(pg_catalog.>=) $1::pg_catalog.int8
           AND parent."{column}" OPERATOR(pg_catalog.<=) $2::pg_catalog.int8
         ORDER BY parent."{column}" LIMIT $3) AS p
