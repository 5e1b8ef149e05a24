-- Purpose: the next rows of an open window, in the order of (xid, id). $1 consumer, $2 token, $3 row limit,
--   $4 and $5 the last (xid, id) that the caller has read: the page begins behind it or behind the stored position;
--   $6 no row is returned behind so many keys (of composite ones, columns): a row holds one key or a thousand.
--   up_to counts the keys of the page with this row. The window function has no order of its own: it sees the rows as they come.
--   The window is the set of xids visible in cur and not in prev, as disjoint ranges: each transaction that prev saw
--   running and cur saw finished, then everything from xmax(prev) to xmax(cur), cut at each transaction still running.
--   One OR over both kinds would be a filter, and would walk again what the kept log has already consumed.
-- Locks: ACCESS SHARE. Index: key_log_position, one range scan per range and leaf, no filter.
-- Repeat: only reads. The caller asserts that (xid, id) rises; fewer rows than the limit, whose keys stay below $6, mean that the
--   window has no more.
WITH c AS MATERIALIZED (
  SELECT table_id, prev, cur,
         CASE WHEN (pos_xid, pos_id) < ($4::text::xid8, $5::int8) THEN $4::text::xid8 ELSE pos_xid END AS pos_xid,
         CASE WHEN (pos_xid, pos_id) < ($4::text::xid8, $5::int8) THEN $5::int8 ELSE pos_id END AS pos_id
    FROM lfk.cursor WHERE consumer = $1 AND token = $2 AND cur IS NOT NULL
), seg AS MATERIALIZED (
  SELECT x AS lo_xid, -1::bigint AS lo_id, x AS hi_xid, 9223372036854775807 AS hi_id
    FROM c, pg_snapshot_xip(c.prev) x WHERE pg_visible_in_snapshot(x, c.cur)
  UNION ALL
  SELECT b.x, b.i, lead(b.x, 1, pg_snapshot_xmax(c.cur)) OVER (ORDER BY b.x, b.i), -1::bigint
    FROM c, LATERAL (SELECT pg_snapshot_xmax(c.prev) AS x, -1::bigint AS i
                     UNION ALL
                     SELECT x, 9223372036854775807 FROM pg_snapshot_xip(c.cur) x WHERE x >= pg_snapshot_xmax(c.prev)) b
), todo AS MATERIALIZED (
  SELECT c.table_id, s.hi_xid, s.hi_id,
         CASE WHEN (s.lo_xid, s.lo_id) < (c.pos_xid, c.pos_id) THEN c.pos_xid ELSE s.lo_xid END AS lo_xid,
         CASE WHEN (s.lo_xid, s.lo_id) < (c.pos_xid, c.pos_id) THEN c.pos_id  ELSE s.lo_id  END AS lo_id
    FROM c, seg s WHERE (s.hi_xid, s.hi_id) > (c.pos_xid, c.pos_id) ORDER BY s.lo_xid, s.lo_id
)
SELECT z.xid, z.id, z.op, z.keys, CASE WHEN z.keys IS NULL THEN ARRAY(SELECT u FROM unnest(z.tkeys) u) END AS tkeys, z.up_to
  FROM (
    SELECT k.xid::text AS xid, k.id, k.op::text AS op, k.keys, k.tkeys, k.n,
           (sum(k.n) OVER (ROWS UNBOUNDED PRECEDING))::bigint AS up_to
      FROM todo t CROSS JOIN LATERAL (
        SELECT l.xid, l.id, l.op, l.keys, l.tkeys, coalesce(cardinality(l.keys), cardinality(l.tkeys), 0) AS n
          FROM lfk.key_log l
         WHERE l.table_id = t.table_id AND (l.xid, l.id) > (t.lo_xid, t.lo_id) AND (l.xid, l.id) < (t.hi_xid, t.hi_id)
         ORDER BY l.xid, l.id LIMIT $3) k
     LIMIT $3) z
 WHERE z.up_to - z.n < $6
