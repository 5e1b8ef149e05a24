-- Purpose: which cursors have work, in which state their definitions are, and who holds them. A trailing cursor has work
--   once a tick is older than its settle, and only while its definition is active.
--   $1 longest wait of a retry in seconds since it was last tried.
-- Locks: ACCESS SHARE. Index: key_log_position by way of the fragment, tick_pkey, retry_due.
-- Repeat: only reads.
SELECT c.consumer, d.name AS definition, c.settle IS NOT NULL AS trailing, d.state,
       c.lease_until > clock_timestamp() AS leased, c.owner, d.condition,
       (c.cur IS NOT NULL
        OR ((c.settle IS NULL
             OR EXISTS (SELECT FROM lfk.tick t WHERE t.at > c.prev_at AND t.at <= clock_timestamp() - c.settle))
            AND "{unseen}")) AS log_work,
       EXISTS (SELECT FROM lfk.retry r WHERE r.consumer = c.consumer AND r.quarantined_at IS NULL
                  AND (r.not_before <= clock_timestamp()
                       OR (r.reason <> 'suspect' AND r.tried_at <= clock_timestamp() - make_interval(secs => $1)))
                  AND (r.barrier IS NULL OR r.barrier < pg_snapshot_xmin(pg_current_snapshot())))
       OR EXISTS (SELECT FROM lfk.sweep s WHERE s.consumer = c.consumer AND NOT s.done) AS retry_work
  FROM lfk.cursor c JOIN lfk.definition d ON d.name = c.definition
 WHERE (d.state = 'active' OR (d.state = 'observe' AND c.settle IS NULL))
   AND NOT (SELECT k.stopped FROM lfk.control k)
 ORDER BY c.consumer
