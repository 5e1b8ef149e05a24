-- Purpose: how many workers share the consumers of this database: those seen within $1 seconds.
-- Locks: ACCESS SHARE. Index: none needed, a row a process. Repeat: only reads.
SELECT count(*) FROM lfk.worker w WHERE w.seen_at > clock_timestamp() - make_interval(secs => $1)
