-- Purpose: moves the position behind the last row that is wholly done, adds to the totals and renews the lease.
--   $1 consumer, $2 token, $3 owner, $4 xid, $5 id, $6 seconds of lease, $7 keys, $8 observed, $9 resurrected, $10 rows
--   affected, $11 keys per second.
-- Locks: the cursor row. Index: primary key. Repeat: adds to the totals once more, moves nothing.
UPDATE lfk.cursor
   SET pos_xid = $4::text::xid8, pos_id = $5, lease_until = clock_timestamp() + make_interval(secs => $6),
       keys_total = keys_total + $7, observed_keys = observed_keys + $8, resurrected_total = resurrected_total + $9,
       rows_affected_total = rows_affected_total + $10, keys_per_second = $11, advanced_at = clock_timestamp(),
       seq = seq + 1, stamp = pg_current_xact_id()
 WHERE consumer = $1 AND token = $2 AND owner = $3 AND cur IS NOT NULL
