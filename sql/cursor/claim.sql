-- Purpose: takes the lease of a consumer that nobody holds; the token fences everybody who held it before.
--   $1 consumer, $2 owner, $3 seconds of lease.
-- Locks: the cursor row. Index: primary key.
-- Refuses (0 rows) a row that another cluster wrote (dump and restore: xmin differs from stamp) and a transaction counter
--   that has gone back: there, new deletes would count as consumed.
-- Repeat: a second claim finds the lease taken.
UPDATE lfk.cursor c
   SET token = c.token + 1, owner = $2, lease_until = clock_timestamp() + make_interval(secs => $3),
       seq = c.seq + 1, stamp = pg_current_xact_id()
 WHERE c.consumer = $1 AND c.lease_until < clock_timestamp()
   AND c.xmin::text::bigint = (c.stamp::text::bigint & 4294967295)
   AND pg_snapshot_xmax(c.prev) <= pg_snapshot_xmax(pg_current_snapshot())
RETURNING c.token, c.cur IS NOT NULL AS open
