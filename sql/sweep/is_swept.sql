-- Purpose: whether a finished sweep stands for a marker. $1 consumer, $2 xid of the marker.
-- Locks: ACCESS SHARE. Index: primary key. Repeat: only reads.
SELECT s.done AND pg_visible_in_snapshot($2::text::xid8, s.covers) AS swept FROM lfk.sweep s WHERE s.consumer = $1
