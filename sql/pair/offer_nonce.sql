-- Purpose: the parent's side of the exchange: accepts the nonce that the child's side has now, if it is the last one or
--   the one that was just being written when a worker died, and makes the next. 0 rows: one side is a copy of what it was.
--   $1 definition, $2 nonce of the child's side, $3 next nonce. After a renewal in the same transaction, so that only the
--   holder of the lease exchanges.
-- Locks: the definition row. Index: primary key. Repeat: offers another one.
UPDATE lfk.definition SET nonce = $2, next_nonce = $3 WHERE name = $1 AND (nonce = $2 OR next_nonce = $2)
