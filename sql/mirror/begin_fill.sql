-- Purpose: asks for a fill of a mirror from the source, or finds one that is under way. $1 consumer, $2 whether to begin anew
--   where one is under way. Whoever holds the lease works on it. What its snapshot does not see is in the log.
-- Locks: the sweep row. Index: primary key. Repeat: goes on with the one that is under way.
INSERT INTO lfk.sweep AS s (consumer, covers) VALUES ($1, pg_current_snapshot())
ON CONFLICT (consumer) DO UPDATE
   SET covers = excluded.covers, part = 0, behind = NULL, looked_at = 0, orphans = 0, started_at = clock_timestamp(),
       moved_at = clock_timestamp(), done = false
 WHERE s.done OR $2
