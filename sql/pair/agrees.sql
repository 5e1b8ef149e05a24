-- Purpose: whether the child's side has the nonce that the parent's side saw last or has just offered. Only the head cursor
--   exchanges nonces: two that do so at the same time would each overwrite what the other has offered. $1 definition,
--   $2 nonce of the child's side.
-- Locks: ACCESS SHARE. Index: primary key. Repeat: only reads.
SELECT EXISTS (SELECT FROM lfk.definition d WHERE d.name = $1 AND (d.nonce = $2 OR d.next_nonce = $2)) AS agrees
