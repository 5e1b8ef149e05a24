-- Purpose: which of these parents exist now. One row a key; a missing row is an error for the caller, never an absence.
--   $1 … the columns of the keys as text[]. The first row says how the parent's columns compare.
-- The lateral LIMIT 1 keeps the planner from hashing the whole parent table. A standby answers with no row at all.
-- Locks: ACCESS SHARE. Index: the parent's unique key. Repeat: only reads.
SELECT k.ord, p.found IS NOT NULL AS present, CASE WHEN k.ord = 1 THEN "{kinds}" END AS kinds
  FROM ROWS FROM ("{keys}") WITH ORDINALITY AS k("{names}", ord)
  LEFT JOIN LATERAL (SELECT true AS found FROM "{parent}" AS parent WHERE "{match}" LIMIT 1) p ON true
 WHERE NOT pg_catalog.pg_is_in_recovery()
