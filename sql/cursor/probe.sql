-- Purpose: which head cursors have work, in which state their definitions are, and who holds them.
--   $1 longest wait of a retry in seconds since it was last tried.
-- Locks: ACCESS SHARE. Index: key_log_position by way of the fragment, retry_due.
-- Repeat: only reads.
SELECT c.consumer, d.state, c.lease_until > clock_timestamp() AS leased, c.owner, d.condition,
       (c.cur IS NOT NULL OR "{unseen}") AS log_work,
       EXISTS (SELECT FROM lfk.retry r WHERE r.consumer = c.consumer AND r.quarantined_at IS NULL
                  AND (r.not_before <= clock_timestamp() OR r.tried_at <= clock_timestamp() - make_interval(secs => $1))) AS retry_work
  FROM lfk.cursor c JOIN lfk.definition d ON d.name = c.definition
 WHERE c.settle IS NULL AND d.state IN ('active', 'observe')
   AND NOT (SELECT k.stopped FROM lfk.control k)
 ORDER BY c.consumer
