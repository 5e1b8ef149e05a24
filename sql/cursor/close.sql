-- Purpose: ends a window: what cur saw is now what prev has seen. Adds to the totals and renews the lease.
--   $1 consumer, $2 token, $3 owner, $4 seconds of lease, $5 keys, $6 observed, $7 resurrected, $8 rows affected,
--   $9 keys per second.
-- Locks: the cursor row. Index: primary key. Repeat: 0 rows, because no window is open any more.
UPDATE lfk.cursor
   SET prev = cur, prev_at = cur_at, cur = NULL, cur_at = NULL, pos_xid = '0', pos_id = 0,
       lease_until = clock_timestamp() + make_interval(secs => $4),
       keys_total = keys_total + $5, observed_keys = observed_keys + $6, resurrected_total = resurrected_total + $7,
       rows_affected_total = rows_affected_total + $8, keys_per_second = $9, advanced_at = clock_timestamp(),
       seq = seq + 1, stamp = pg_current_xact_id()
 WHERE consumer = $1 AND token = $2 AND owner = $3 AND cur IS NOT NULL
