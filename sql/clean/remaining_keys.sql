-- Purpose: which of these keys still have children in one leaf: the proof of emptiness, and the way to the locked ones.
--   $1 … the columns of the keys.
-- Locks: ACCESS SHARE. Index: one that leads with the child column. Repeat: only reads.
SELECT k.ord
  FROM ROWS FROM ("{keys}") WITH ORDINALITY AS k("{names}", ord)
  CROSS JOIN LATERAL (SELECT true AS found FROM ONLY "{leaf}" AS child WHERE "{match}" LIMIT 1) c
