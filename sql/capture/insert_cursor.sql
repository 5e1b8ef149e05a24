-- Purpose: makes the cursors of a definition, head and trailing, before everything that the log holds: keys logged between
--   trigger and cursor belong to them. $1 definition, $2 the trailing consumer, $3 its settle in seconds. Under the ring
--   lock, and never in a savepoint (stamp and xmin would differ).
-- Locks: the new rows. Index: primary key. Repeat: 0 rows.
INSERT INTO lfk.cursor (consumer, definition, table_id, settle)
SELECT c.consumer, d.name, d.table_id, c.settle
  FROM lfk.definition d CROSS JOIN (VALUES ($1, NULL), ($2, make_interval(secs => $3))) c(consumer, settle)
 WHERE d.name = $1
ON CONFLICT DO NOTHING
