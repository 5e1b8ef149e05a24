-- A broken idle move: its snapshot is not the statement's own.
UPDATE lfk.cursor c
   SET prev = public.late_snapshot(), prev_at = statement_timestamp(), seq = c.seq + 1, stamp = pg_current_xact_id()
 WHERE c.cur IS NULL AND NOT EXISTS (SELECT FROM lfk.key_log l WHERE l.table_id = c.table_id AND NOT pg_visible_in_snapshot(l.xid, c.prev))
