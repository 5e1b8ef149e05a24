-- Purpose: the hashes of given rows of one side. $1 seed, $2 … the columns of the keys.
-- Locks: ACCESS SHARE. Index: the key's unique one. Repeat: only reads.
SELECT q.lfk_ord AS ord, s.lfk_h AS hash
  FROM ROWS FROM ("{keys}") WITH ORDINALITY AS q("{names}", lfk_ord)
  LEFT JOIN LATERAL (SELECT "{hash}" AS lfk_h FROM "{table}" AS "{alias}" WHERE "{match}" AND "{filter}") s ON true
 WHERE NOT pg_is_in_recovery()
