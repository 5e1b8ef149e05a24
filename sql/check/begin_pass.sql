-- Purpose: a pass begins. $1 mirror, $2 owner.
-- Locks: one row. Index: primary key. Repeat: begins later.
UPDATE lfk.mirror_check SET running_since = clock_timestamp() WHERE mirror = $1 AND owner = $2
