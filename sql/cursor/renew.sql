-- Purpose: keeps the lease while a batch is at work in another database. $1 consumer, $2 token, $3 owner, $4 seconds.
-- Locks: the cursor row. Index: primary key. Repeat: yes. 0 rows: somebody else has taken over, stop.
UPDATE lfk.cursor SET lease_until = clock_timestamp() + make_interval(secs => $4), stamp = pg_current_xact_id()
 WHERE consumer = $1 AND token = $2 AND owner = $3
