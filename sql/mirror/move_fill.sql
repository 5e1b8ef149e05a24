-- Purpose: stores how far a fill has come, in a transaction that has proven the lease. $1 consumer, $2 part (0: rows of the
--   source; 1: rows of the target that the source lacks), $3 the last key that is done (NULL: a part begins), $4 rows looked
--   at, $5 rows written, $6 whether that was the end, $7 what it covers.
--   0 rows: somebody asked for another one meanwhile, which begins at the beginning.
-- Locks: the sweep row. Index: primary key. Repeat: adds to the counts once more.
UPDATE lfk.sweep
   SET part = $2, behind = $3::text[], looked_at = looked_at + $4, orphans = orphans + $5, done = $6, moved_at = clock_timestamp()
 WHERE consumer = $1 AND covers::text = $7
