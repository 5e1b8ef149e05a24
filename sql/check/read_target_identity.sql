-- Purpose: which database a mirror was installed with, as its source's database has it: a worker may not read definitions at
--   the target's end. $1 the mirror. No row: it is not installed.
-- Locks: ACCESS SHARE. Index: primary key. Repeat: only reads.
SELECT f.child_identity::text FROM lfk.definition f WHERE f.name = $1
