-- Purpose: which of these parents exist now, by their places in the list, in one row. Every place is in exactly one of the two
--   lists; one that is in neither is an error for the caller, never an absence. A row a key would cost as much as the look.
--   $1 … the columns of the keys as text[]. kinds says how the parent's columns compare.
-- The lateral LIMIT 1 keeps the planner from hashing the whole parent table. A standby names no place at all.
-- Locks: ACCESS SHARE. Index: the parent's unique key. Repeat: only reads.
SELECT pg_catalog.array_agg(k.ord) FILTER (WHERE p.found IS NOT NULL) AS present,
       pg_catalog.array_agg(k.ord) FILTER (WHERE p.found IS NULL) AS absent,
       "{kinds}" AS kinds
  FROM ROWS FROM ("{keys}") WITH ORDINALITY AS k("{names}", ord)
  LEFT JOIN LATERAL (SELECT true AS found FROM "{parent}" AS parent WHERE "{match}" LIMIT 1) p ON true
 WHERE NOT pg_catalog.pg_is_in_recovery()
