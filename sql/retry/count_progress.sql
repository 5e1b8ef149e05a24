-- Purpose: renews the lease and adds what retries achieved to the totals.
--   $1 consumer, $2 token, $3 owner, $4 seconds of lease, $5 keys, $6 resurrected, $7 rows affected.
-- Locks: the cursor row. Index: primary key. Repeat: adds once more. 0 rows: somebody else has taken over, stop.
UPDATE lfk.cursor
   SET lease_until = clock_timestamp() + make_interval(secs => $4), keys_total = keys_total + $5,
       resurrected_total = resurrected_total + $6, rows_affected_total = rows_affected_total + $7,
       stamp = pg_current_xact_id()
 WHERE consumer = $1 AND token = $2 AND owner = $3
