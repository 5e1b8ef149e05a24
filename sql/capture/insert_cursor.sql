-- Purpose: makes the head cursor of a definition, before everything that the log holds: keys logged between trigger and
--   cursor belong to it. $1 definition. Under the ring lock, and never in a savepoint (stamp and xmin would differ).
-- Locks: the new row. Index: primary key. Repeat: 0 rows.
INSERT INTO lfk.cursor (consumer, definition, table_id)
SELECT d.name, d.name, d.table_id FROM lfk.definition d WHERE d.name = $1
ON CONFLICT DO NOTHING
