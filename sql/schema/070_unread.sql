-- Purpose: lfk.unread: what a cursor has not passed yet, counting at most so many rows of the log, the oldest first; and
--   when the oldest row was written that the log still keeps of its table.
-- The ranges are those of sql/cursor/page.sql without its upper end: each transaction that prev saw running, then
--   everything from xmax(prev) or, in an open window, from the position on; at last the transactions that the window saw
--   running and that the position has passed over. What the window has consumed is never walked again.
-- Locks: ACCESS SHARE. Index: key_log_position. A view cannot forbid a sequential scan of the log, a function can.
-- SECURITY DEFINER, and for whoever may enter the schema: a role that reads lfk.health needs no right on the log, and
--   nothing but numbers comes out.
-- Repeat: only reads.
CREATE OR REPLACE FUNCTION lfk.unread(of_consumer text, most_rows bigint)
RETURNS TABLE (rows bigint, keys bigint, markers bigint, oldest_at timestamptz, log_oldest_at timestamptz)
LANGUAGE sql STABLE ROWS 1 SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET enable_seqscan = off SET enable_bitmapscan = off SET jit = off AS $unread$
  WITH c AS MATERIALIZED (
    SELECT c.table_id, c.prev, c.cur, c.pos_xid, c.pos_id, cardinality(t.key_columns) AS width
      FROM lfk.cursor c JOIN lfk.tracked t USING (table_id) WHERE c.consumer = of_consumer
  ), seg AS MATERIALIZED (
    SELECT 1 AS part, x AS lo_xid,
           CASE WHEN c.cur IS NULL OR NOT pg_visible_in_snapshot(x, c.cur) OR x > c.pos_xid THEN -1::bigint
                WHEN x = c.pos_xid THEN c.pos_id
                ELSE 9223372036854775807 END AS lo_id,
           x AS hi_xid
      FROM c, pg_snapshot_xip(c.prev) x
    UNION ALL
    SELECT 2, CASE WHEN passed THEN c.pos_xid ELSE pg_snapshot_xmax(c.prev) END,
           CASE WHEN passed THEN c.pos_id ELSE -1::bigint END, '18446744073709551615'::xid8
      FROM (SELECT c.*, c.cur IS NOT NULL AND c.pos_xid >= pg_snapshot_xmax(c.prev) AS passed FROM c) c
    UNION ALL
    SELECT 3, x, -1::bigint, x FROM c, pg_snapshot_xip(c.cur) x WHERE x >= pg_snapshot_xmax(c.prev) AND x < c.pos_xid
  ), p AS MATERIALIZED (
    SELECT l.at, l.op, coalesce(cardinality(l.keys), cardinality(l.tkeys) / c.width, 1) AS keys
      FROM (SELECT * FROM seg ORDER BY part, lo_xid) s CROSS JOIN c CROSS JOIN LATERAL (
        SELECT l.at, l.op, l.keys, l.tkeys FROM lfk.key_log l
         WHERE l.table_id = c.table_id AND (l.xid, l.id) > (s.lo_xid, s.lo_id) AND (l.xid, l.id) < (s.hi_xid, 9223372036854775807)
         ORDER BY l.xid, l.id LIMIT most_rows) l
     LIMIT most_rows
  )
  SELECT count(*), coalesce(sum(p.keys), 0)::bigint, count(*) FILTER (WHERE p.op IN ('t', 's')), min(p.at),
         (SELECT l.at FROM c, LATERAL (SELECT l.at FROM lfk.key_log l WHERE l.table_id = c.table_id ORDER BY l.xid, l.id LIMIT 1) l)
    FROM p
$unread$;
-- Not left to the defaults: ALTER DEFAULT PRIVILEGES may have taken it from PUBLIC for what this role makes.
GRANT EXECUTE ON FUNCTION lfk.unread(text, bigint) TO PUBLIC;
COMMENT ON FUNCTION lfk.unread(text, bigint) IS 'What a cursor has not passed yet, counting at most so many rows of the log. Numbers only.';
