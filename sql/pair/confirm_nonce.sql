-- Purpose: the last step of the exchange: the child's side has taken the nonce, so from now on only that one is accepted,
--   and a copy that still has the one before shows. $1 definition, $2 nonce that was taken.
-- Locks: the definition row. Index: primary key. Repeat: 0 rows; likewise when another worker has offered a newer one.
UPDATE lfk.definition SET nonce = $2, next_nonce = NULL WHERE name = $1 AND next_nonce = $2
