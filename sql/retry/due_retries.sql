-- Purpose: keys set aside whose time has come. $1 consumer, $2 row limit, $3 longest wait in seconds since the last try.
-- Locks: ACCESS SHARE. Index: retry_due. Repeat: only reads.
SELECT r.key FROM lfk.retry r
 WHERE r.consumer = $1 AND r.quarantined_at IS NULL
   AND (r.not_before <= clock_timestamp() OR r.tried_at <= clock_timestamp() - make_interval(secs => $3))
 ORDER BY r.not_before LIMIT $2
