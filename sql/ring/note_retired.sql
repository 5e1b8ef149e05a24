-- Purpose: notes what a leaf takes along when it is emptied: rows that a tick as old as the retention has seen.
--   $1 retention in seconds. After the check under the lock, in the transaction of the TRUNCATE: the tick chosen here is the one
--   of the check or a later one, so it has seen every row of the leaf.
--   Daemons with a shorter retention may have noted a later one, which stands for both.
-- Locks: the one row. Index: tick_pkey. Repeat: yes.
INSERT INTO lfk.retired AS r (snap)
SELECT t.snap FROM lfk.tick t WHERE t.at <= clock_timestamp() - make_interval(secs => $1) ORDER BY t.at DESC LIMIT 1
ON CONFLICT (only_row) DO UPDATE SET snap = excluded.snap, changed_at = clock_timestamp()
 WHERE NOT lfk.includes(r.snap, excluded.snap)
