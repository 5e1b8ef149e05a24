-- Purpose: lets another one walk at once. $1 mirror, $2 owner.
-- Locks: one row. Index: primary key. Repeat: 0 rows.
UPDATE lfk.mirror_check SET owner = NULL WHERE mirror = $1 AND owner = $2
