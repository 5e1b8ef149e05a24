-- Purpose: the wide parent that has waited longest. $1 consumer.
-- Locks: ACCESS SHARE. Index: retry_due. Repeat: only reads.
SELECT r.key FROM lfk.retry r
 WHERE r.consumer = $1 AND r.quarantined_at IS NULL AND r.reason = 'wide' AND r.not_before <= clock_timestamp()
 ORDER BY r.tried_at LIMIT 1
