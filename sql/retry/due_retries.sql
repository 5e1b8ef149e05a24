-- Purpose: keys set aside whose time has come. $1 consumer, $2 row limit, $3 longest wait in seconds since the last try.
--   denied: others of its batch were cleaned when this key was denied something (the classes of clean/class.rs that block).
--   Nobody shortens the wait of a suspect: it is what tells an orphan from a child that was committed before its parent.
-- Locks: ACCESS SHARE. Index: retry_due. Repeat: only reads.
SELECT r.key, r.reason = 'poisoned' AND coalesce(r.sqlstate, '') ~ '^(42|0A|28|3D|3F)' AS denied,
       r.repair
  FROM lfk.retry r
 WHERE r.consumer = $1 AND r.quarantined_at IS NULL AND r.reason <> 'wide'
   AND (r.not_before <= clock_timestamp()
        OR (r.reason <> 'suspect' AND r.tried_at <= clock_timestamp() - make_interval(secs => $3)))
   AND (r.barrier IS NULL OR r.barrier < pg_snapshot_xmin(pg_current_snapshot()))
 ORDER BY r.not_before LIMIT $2
