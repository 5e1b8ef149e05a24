-- Purpose: what is true of some keys at the source, and whether the sync still has to look at them, in one snapshot.
--   $1 consumer, $2 most rows of the log, $3 an earlier snapshot or NULL, $4 the keys as one value each, $5 … their columns.
--   pending: an unacknowledged row of the log holds the key, or it is set aside, or a marker is unacknowledged.
--   not_yet: a fill has not come to it. While it reads the source no row too many has been removed; while it reads the target
--   every row of the source has been written.
--   touched: the log has a row for it that the earlier snapshot does not see.
--   In a READ COMMITTED transaction with custom plans: the search in a constant array is hashed, in a parameter it is not.
-- Locks: ACCESS SHARE. Index: key_log_position, the key's unique one, and the primary keys of lfk. Repeat: only reads.
WITH c AS MATERIALIZED (
  SELECT table_id, prev, cur, coalesce(pos_xid, '0'::xid8) AS px, coalesce(pos_id, 0) AS pi FROM lfk.cursor WHERE consumer = $1
), e AS MATERIALIZED (
  SELECT z.op, z.keys FROM (
    SELECT l.op, l.keys FROM c, LATERAL (
        SELECT xid, id, op, "{logged}" AS keys FROM lfk.key_log
         WHERE table_id = c.table_id AND xid = ANY (ARRAY(SELECT pg_snapshot_xip(c.prev)))) l
     WHERE NOT coalesce(pg_visible_in_snapshot(l.xid, c.cur) AND (l.xid, l.id) <= (c.px, c.pi), false)
    UNION ALL
    SELECT l.op, l.keys FROM c, LATERAL (
        SELECT xid, id, op, "{logged}" AS keys FROM lfk.key_log
         WHERE table_id = c.table_id AND xid >= pg_snapshot_xmax(c.prev)) l
     WHERE NOT coalesce(pg_visible_in_snapshot(l.xid, c.cur) AND (l.xid, l.id) <= (c.px, c.pi), false)) z
   LIMIT $2::int8
), p AS MATERIALIZED ("{pending}"),
n AS MATERIALIZED (
  SELECT l.op, l.keys FROM c, LATERAL (
      SELECT op, "{logged}" AS keys FROM lfk.key_log WHERE table_id = c.table_id AND xid >= pg_snapshot_xmax($3::text::pg_snapshot)
      UNION ALL
      SELECT op, "{logged}" AS keys FROM lfk.key_log
       WHERE table_id = c.table_id AND xid = ANY (ARRAY(SELECT pg_snapshot_xip($3::text::pg_snapshot)))) l
   WHERE $3 IS NOT NULL
), nk AS MATERIALIZED ("{newer}"),
w AS MATERIALIZED (SELECT behind, done, part FROM lfk.sweep WHERE consumer = $1),
m AS MATERIALIZED (
  SELECT coalesce((SELECT bool_or(op IN ('t', 's')) FROM e), false) AS unread,
         coalesce((SELECT count(*) >= $2::int8 FROM e), false) AS capped,
         coalesce((SELECT bool_or(op IN ('t', 's')) FROM n), false) AS written
)
SELECT q.lfk_ord AS ord, s.lfk_digest AS digest,
       p.k IS NOT NULL OR m.unread OR m.capped OR (r.consumer IS NOT NULL AND r.quarantined_at IS NULL) AS pending,
       coalesce(r.quarantined_at IS NOT NULL, false) AS quarantined,
       nk.k IS NOT NULL OR m.written AS touched,
       coalesce((SELECT CASE WHEN w.done THEN false
                             WHEN w.part = 0 THEN s.lfk_digest IS NULL OR w.behind IS NULL OR ("{typed}") OPERATOR(pg_catalog.>) ("{behind}")
                             ELSE s.lfk_digest IS NULL AND (w.behind IS NULL OR NOT "{sorted_alike}" OR ("{typed}") OPERATOR(pg_catalog.>) ("{behind}"))
                        END FROM w), false) AS not_yet,
       EXISTS (SELECT FROM w) AS filled, EXISTS (SELECT FROM c) AS known, pg_current_snapshot()::text AS snap
  FROM ROWS FROM (unnest($4::text[]::"{encoded}"[]), "{keys}") WITH ORDINALITY AS q(lfk_e, "{names}", lfk_ord)
  CROSS JOIN m
  LEFT JOIN LATERAL (SELECT "{digest}" AS lfk_digest FROM "{table}" AS source WHERE "{match}" AND "{filter}") s ON true
  LEFT JOIN p ON p.k = q.lfk_e LEFT JOIN nk ON nk.k = q.lfk_e
  LEFT JOIN lfk.retry r ON r.consumer = $1 AND r.key = ARRAY["{texts}"]::text[]
 WHERE NOT pg_is_in_recovery()
