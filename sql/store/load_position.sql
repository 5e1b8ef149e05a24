-- Purpose: a position. Binds: $1 name.
-- Locks: ACCESS SHARE. Index: position_pkey. Repeat: only reads.
SELECT p.value, p.version FROM lfk.position p WHERE p.name = $1
