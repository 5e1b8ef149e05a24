-- Purpose: forgets rows that repairs had kept for long enough. $1 mirror, $2 identity of the source's database, $3 seconds that they
--   are kept, $4 rows at most.
-- Locks: the rows. Index: before_image_mirror. Repeat: goes on with the next.
SELECT lfk.prune_before($1, $2, make_interval(secs => $3), $4)
