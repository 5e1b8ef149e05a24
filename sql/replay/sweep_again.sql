-- Purpose: forgets for which markers the sweeps of a definition stand, and how far one has come: what they led to may be gone. A
--   marker that is read again is swept again. A mirror that was ever filled is filled anew, whether or not there is a marker:
--   what a fill wrote is in no log. $1 definition. After rewind_to in the same transaction, whose lock on the cursors
--   keeps a worker from storing the position of a sweep meanwhile.
-- Locks: the sweep rows. Index: primary key. Repeat: yes.
UPDATE lfk.sweep s
   SET covers = CASE d.kind WHEN 'mirror' THEN pg_current_snapshot() ELSE '1:1:' END, part = 0, behind = NULL,
       done = d.kind <> 'mirror', looked_at = 0, orphans = 0
  FROM lfk.cursor c JOIN lfk.definition d ON d.name = c.definition
 WHERE c.definition = $1 AND s.consumer = c.consumer
