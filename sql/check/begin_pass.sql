-- Purpose: a pass begins; 0 rows: somebody else walks. $1 mirror, $2 owner. Answers with what tells it from all others.
-- Locks: one row. Index: primary key. Repeat: begins another one, later.
UPDATE lfk.mirror_check SET running_since = clock_timestamp()
 WHERE mirror = $1 AND owner = $2 RETURNING extract(epoch FROM running_since)::text
