-- Purpose: the nonces that the child's side may have. $1 definition. No row: it is not installed.
-- Locks: ACCESS SHARE. Index: primary key. Repeat: only reads.
SELECT array_remove(ARRAY[d.nonce, d.next_nonce], NULL) AS nonces FROM lfk.definition d WHERE d.name = $1
