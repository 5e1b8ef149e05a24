-- Purpose: what is true of some keys at the target. $1 … the columns of the keys. A standby answers with no row at all.
-- Locks: ACCESS SHARE. Index: the key's unique one. Repeat: only reads.
SELECT q.lfk_ord AS ord, s.lfk_digest AS digest
  FROM ROWS FROM ("{keys}") WITH ORDINALITY AS q("{names}", lfk_ord)
  LEFT JOIN LATERAL (SELECT "{digest}" AS lfk_digest FROM "{table}" AS target WHERE "{match}") s ON true
 WHERE NOT pg_is_in_recovery()
