-- Purpose: fragment: is there a row of the log, or of one leaf, of table c.table_id that the snapshot c.prev does not see, but we do?
-- Locks: ACCESS SHARE on the log. Index: key_log_position, a probe per leaf and per running transaction of c.prev.
-- Repeat: only reads.
(  (SELECT l.xid FROM "{log}" l WHERE l.table_id = c.table_id AND l.xid >= pg_snapshot_xmax(c.prev) ORDER BY l.xid LIMIT 1) IS NOT NULL
OR (SELECT y.xid FROM pg_snapshot_xip(c.prev) x,
      LATERAL (SELECT l.xid FROM "{log}" l WHERE l.table_id = c.table_id AND l.xid = x ORDER BY l.xid LIMIT 1) y LIMIT 1) IS NOT NULL)
