-- Purpose: begins a sweep for the holder of the lease, or goes on with the one that was begun. $1 consumer.
--   Every marker that its snapshot sees was committed before the first child is read, so this sweep stands for it. That of a
--   trailing cursor stands for its open window only: for a marker that is younger than settle it comes too early.
-- Locks: the sweep row. Index: primary keys. Repeat: goes on.
INSERT INTO lfk.sweep AS s (consumer, covers)
SELECT c.consumer, CASE WHEN c.settle IS NULL THEN pg_current_snapshot() ELSE coalesce(c.cur, c.prev) END
  FROM lfk.cursor c WHERE c.consumer = $1
ON CONFLICT (consumer) DO UPDATE
   SET covers = CASE WHEN s.done THEN excluded.covers ELSE s.covers END,
       part = CASE WHEN s.done THEN 0 ELSE s.part END,
       behind = CASE WHEN s.done THEN NULL ELSE s.behind END,
       looked_at = CASE WHEN s.done THEN 0 ELSE s.looked_at END,
       orphans = CASE WHEN s.done THEN 0 ELSE s.orphans END,
       started_at = CASE WHEN s.done THEN clock_timestamp() ELSE s.started_at END,
       moved_at = clock_timestamp(), done = false
RETURNING s.behind, s.part::int4 AS part
