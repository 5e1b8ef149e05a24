-- The first half of a broken idle move: notes which cursors have nothing to read.
INSERT INTO public.idle_noted AS n (consumer, seq)
SELECT c.consumer, c.seq FROM lfk.cursor c
 WHERE c.cur IS NULL
   AND NOT EXISTS (SELECT FROM lfk.key_log l WHERE l.table_id = c.table_id AND l.xid >= pg_snapshot_xmax(c.prev))
   AND NOT EXISTS (SELECT FROM pg_snapshot_xip(c.prev) x JOIN lfk.key_log l ON l.table_id = c.table_id AND l.xid = x)
ON CONFLICT (consumer) DO UPDATE SET seq = excluded.seq
