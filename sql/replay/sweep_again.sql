-- Purpose: forgets for which markers the sweeps of a definition stand, and how far one has come: what they led to may be gone. A
--   marker that is read again is swept again. $1 definition. After rewind_to in the same transaction, whose lock on the cursors
--   keeps a worker from storing the position of a sweep meanwhile.
-- Locks: the sweep rows. Index: primary key. Repeat: yes.
UPDATE lfk.sweep s SET covers = '1:1:', behind = NULL, done = true, looked_at = 0, orphans = 0
  FROM lfk.cursor c WHERE c.definition = $1 AND s.consumer = c.consumer
