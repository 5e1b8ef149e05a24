-- Purpose: when the trailing cursor of a definition visits its keys. $1 trailing consumer, $2 seconds.
-- Locks: the cursor row. Index: primary key. Repeat: 0 rows.
UPDATE lfk.cursor SET settle = make_interval(secs => $2), stamp = pg_current_xact_id()
 WHERE consumer = $1 AND settle IS DISTINCT FROM make_interval(secs => $2)
