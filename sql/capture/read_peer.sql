-- Purpose: the child's side of a pair. $1 definition, $2 identity of the parent's database.
-- Locks: ACCESS SHARE. Index: primary key. Repeat: only reads.
SELECT p.nonce, p.child FROM lfk.peer p WHERE p.definition = $1 AND p.parent_identity = $2
