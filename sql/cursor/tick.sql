-- Purpose: notes the time and the snapshot of now, at most every 30 s however many workers try.
-- Locks: an advisory lock of this transaction, never waited for. Index: tick_pkey. Repeat: yes.
INSERT INTO lfk.tick (at, snap)
SELECT clock_timestamp(), pg_current_snapshot()
 WHERE pg_try_advisory_xact_lock(7813284110)
   AND NOT EXISTS (SELECT FROM lfk.tick t WHERE t.at > clock_timestamp() - interval '30 s')
