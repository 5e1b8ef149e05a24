-- Purpose: accepts the nonce that the child's side has, because a person says that its database was restored or failed over and is
--   the right one. $1 definition, $2 nonce of the child's side. In the transaction of the rewind, so that a pair that agrees again
--   always looks again at what may have been lost.
-- Locks: the definition row. Index: primary key. Repeat: 0 rows. 0 rows also where the two agree.
UPDATE lfk.definition SET nonce = $2, next_nonce = NULL
 WHERE name = $1 AND nonce <> $2 AND next_nonce IS DISTINCT FROM $2
