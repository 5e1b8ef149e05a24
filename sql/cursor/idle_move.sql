-- Purpose: moves prev of every cursor that has nothing to read up to now, so that the log can be retired.
-- One statement on purpose: the probes and pg_current_snapshot() share its snapshot, so whatever is running in it stays in
--   the next window. Split in two it loses keys.
-- Locks: the rows of idle cursors. Index: key_log_position by way of the fragment. Repeat: yes.
WITH i AS MATERIALIZED (
  SELECT c.consumer, c.seq FROM lfk.cursor c WHERE c.cur IS NULL AND NOT "{unseen}"
)
UPDATE lfk.cursor c
   SET prev = pg_current_snapshot(), prev_at = statement_timestamp(), seq = c.seq + 1, stamp = pg_current_xact_id()
  FROM i WHERE c.consumer = i.consumer AND c.seq = i.seq AND c.cur IS NULL
    AND c.xmin::text::bigint = (c.stamp::text::bigint & 4294967295)
    AND pg_snapshot_xmax(c.prev) <= pg_snapshot_xmax(pg_current_snapshot())
