-- Purpose: the child's side of the exchange. $1 definition, $2 identity of the parent's database, $3 nonce seen before,
--   $4 next nonce. 0 rows: another worker was faster.
-- Locks: the peer row. Index: primary key. Repeat: 0 rows.
UPDATE lfk.peer SET nonce = $4 WHERE definition = $1 AND parent_identity = $2 AND nonce = $3
