-- Purpose: how every definition of this database stands, from the one view that says so. After count_up_to.
-- Locks: as lfk.health. Index: as lfk.health. Repeat: only reads.
SELECT h.name, h.state, h.condition, h.note, h.stopped, h.keys_total, h.observed_keys, h.resurrected_total,
       h.rows_affected_total, h.keys_per_second, h.pending_keys, h.pending_is_lower_bound, h.oldest_pending_seconds,
       h.retries, h.quarantined, h.trailing_lag_seconds, h.not_covered, h.log_bytes, h.alert, h.sweep_looked_at,
       h.oldest_unverified_seconds, h.last_pass_seconds_ago, h.confirmed_differences
  FROM lfk.health h ORDER BY h.name
