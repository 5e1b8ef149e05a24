-- Purpose: a worker that stops takes its row along, and those that died a day ago. $1 id.
-- Locks: these rows. Index: primary key. Repeat: 0 rows.
DELETE FROM lfk.worker w WHERE w.id = $1 OR w.seen_at < clock_timestamp() - interval '1 day'
