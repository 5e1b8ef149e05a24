-- Purpose: the first statement of every transaction that writes to the target: proves that nobody newer has come, and keeps
--   anybody from coming until it ends. $1 mirror, $2 identity of the source's database, $3 token. No row: stop.
--   FOR KEY SHARE would not do: it does not conflict with the raise.
-- Locks: the fence row, FOR SHARE. Index: primary key. Repeat: yes.
SELECT true FROM lfk.mirror_fence WHERE mirror = $1 AND source_identity = $2 AND token = $3 FOR SHARE
