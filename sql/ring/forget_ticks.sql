-- Purpose: forgets ticks that neither retention nor a rewind nor a trailing cursor can ask for. $1 retention in seconds.
-- Locks: the rows. Index: tick_pkey. Repeat: 0 rows.
DELETE FROM lfk.tick t
 WHERE t.at < clock_timestamp() - interval '1 hour'
              - greatest(make_interval(secs => $1), (SELECT max(c.settle) FROM lfk.cursor c))
