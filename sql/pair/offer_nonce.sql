-- Purpose: the parent's side of the exchange: accepts the nonce that the child's side has now, if it is the last one or the one
--   that was being written, and answers with the next. A pending offer is answered again, never replaced: the worker that
--   made it may be slow, and carry it over later. 0 rows: the child's side has a nonce that this side does not know.
--   $1 definition, $2 nonce of the child's side, $3 the next one, if none is pending. After a renewal in the same
--   transaction, so that only the holder of the lease exchanges.
-- Locks: the definition row. Index: primary key. Repeat: the same answer.
UPDATE lfk.definition
   SET nonce = $2, next_nonce = CASE WHEN nonce = $2 AND next_nonce IS NOT NULL THEN next_nonce ELSE $3 END
 WHERE name = $1 AND (nonce = $2 OR next_nonce = $2)
RETURNING next_nonce
