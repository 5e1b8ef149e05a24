-- Purpose: forgets ticks that neither retention nor a rewind can ask for. $1 retention in seconds.
-- Locks: the rows. Index: tick_pkey. Repeat: 0 rows.
DELETE FROM lfk.tick t WHERE t.at < clock_timestamp() - make_interval(secs => $1) - interval '1 hour'
