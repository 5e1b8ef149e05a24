-- Purpose: forgets a position. Binds: $1 name.
-- Locks: the row. Index: position_pkey. Repeat: yes.
DELETE FROM lfk.position WHERE name = $1
