-- Purpose: makes the child's side of a pair. $1 definition, $2 identity of the parent's database, $3 child, $4 nonce.
--   A nonce that is already there stays: two installations at once must end with one nonce on both sides.
-- Locks: the new row. Index: primary key. Repeat: 0 rows.
INSERT INTO lfk.peer (definition, parent_identity, child, nonce) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING
