-- A slow page: right, but the OR is a filter, so every window walks again what the kept log has already consumed.
-- The parameters are those of the real page.
WITH c AS MATERIALIZED (
  SELECT k.table_id, k.prev, k.cur, greatest(k.pos_xid, $4::text::xid8) AS pos_xid, greatest(k.pos_id, $5::int8) AS pos_id
    FROM lfk.cursor k WHERE k.consumer = $1 AND k.token = $2 AND k.cur IS NOT NULL AND $6::int8 > 0
)
SELECT l.xid::text AS xid, l.id, l.op::text AS op, l.keys, l.tkeys, 0::int8 AS up_to
  FROM c JOIN lfk.key_log l ON l.table_id = c.table_id AND (l.xid, l.id) > (c.pos_xid, c.pos_id)
   AND (l.xid >= pg_snapshot_xmax(c.prev) OR l.xid = ANY (ARRAY(SELECT pg_snapshot_xip(c.prev)))) AND pg_visible_in_snapshot(l.xid, c.cur)
 ORDER BY l.xid, l.id LIMIT $3
