-- Purpose: stores how far a sweep has come, in a transaction that has proven the lease.
--   $1 consumer, $2 last key that is wholly done, $3 keys looked at, $4 orphans among them, $5 whether that was the end.
-- Locks: the sweep row. Index: primary key. Repeat: adds to the counts once more.
UPDATE lfk.sweep
   SET behind = coalesce($2::text[], behind), looked_at = looked_at + $3, orphans = orphans + $4, done = $5,
       moved_at = clock_timestamp()
 WHERE consumer = $1
