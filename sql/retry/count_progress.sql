-- Purpose: renews the lease and adds what retries achieved to the totals.
--   $1 consumer, $2 token, $3 owner, $4 seconds of lease, $5 keys, $6 resurrected, $7 rows affected, $8 keys per second.
--   This is getting on, too: a definition that works off suspects for an hour has not stalled.
-- Locks: the cursor row. Index: primary key. Repeat: adds once more. 0 rows: somebody else has taken over, stop.
UPDATE lfk.cursor
   SET lease_until = clock_timestamp() + make_interval(secs => $4), keys_total = keys_total + $5,
       resurrected_total = resurrected_total + $6, rows_affected_total = rows_affected_total + $7,
       keys_per_second = $8, advanced_at = clock_timestamp(), stamp = pg_current_xact_id()
 WHERE consumer = $1 AND token = $2 AND owner = $3
