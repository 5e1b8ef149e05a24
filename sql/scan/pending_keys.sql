-- Purpose: which of these keys are lag and no finding: lfk has yet to look at them. They stand in a part of the log that one
--   of the definition's cursors has not acknowledged, or are set aside (but not given up). A marker there means every key;
--   so does a backlog beyond the limit: `everything`.
--   $1 definition, $2 the keys' columns one after another, $3 columns a key, $4 limit of log rows. After hold_log.
-- Locks: ACCESS SHARE. Index: key_log_position, in disjoint ranges; retry's primary key. Repeat: only reads.
WITH c AS MATERIALIZED (
  SELECT consumer, table_id, prev, cur, pos_xid, pos_id FROM lfk.cursor WHERE definition = $1
), e AS MATERIALIZED (
  SELECT z.op, z.keys, z.tkeys
    FROM (SELECT l.op, l.keys, l.tkeys
            FROM c, LATERAL (SELECT xid, id, op, keys, tkeys FROM lfk.key_log
                              WHERE table_id = c.table_id AND xid = ANY (ARRAY(SELECT pg_snapshot_xip(c.prev)))) l
           WHERE NOT coalesce(pg_visible_in_snapshot(l.xid, c.cur) AND (l.xid, l.id) <= (c.pos_xid, c.pos_id), false)
          UNION ALL
          SELECT l.op, l.keys, l.tkeys
            FROM c, LATERAL (SELECT xid, id, op, keys, tkeys FROM lfk.key_log
                              WHERE table_id = c.table_id AND xid >= pg_snapshot_xmax(c.prev)) l
           WHERE NOT coalesce(pg_visible_in_snapshot(l.xid, c.cur) AND (l.xid, l.id) <= (c.pos_xid, c.pos_id), false)) z
   LIMIT $4
), asked AS MATERIALIZED (
  SELECT array_agg(u.part ORDER BY u.ord) AS key
    FROM unnest($2::text[]) WITH ORDINALITY AS u(part, ord) GROUP BY (u.ord - 1) / $3::int8
), logged(key) AS (
  SELECT ARRAY[u] FROM e, unnest(coalesce(e.keys::text[], e.tkeys)) AS u WHERE $3::int8 = 1 AND u = ANY ($2::text[])
  UNION
  SELECT k.key FROM e CROSS JOIN LATERAL (
           SELECT array_agg(u.part ORDER BY u.ord) AS key
             FROM unnest(e.tkeys) WITH ORDINALITY AS u(part, ord) GROUP BY (u.ord - 1) / $3::int8) k
   WHERE $3::int8 > 1 AND e.tkeys && $2::text[]
)
SELECT a.key, (SELECT coalesce(bool_or(e.op NOT IN ('d', 'u')), false) OR count(*) >= $4 FROM e) AS everything,
       a.key IN (SELECT l.key FROM logged l)
       OR EXISTS (SELECT FROM lfk.retry r JOIN c ON c.consumer = r.consumer
                   WHERE r.key = a.key AND r.quarantined_at IS NULL) AS pending
  FROM asked a
