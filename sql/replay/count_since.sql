-- Purpose: keys and markers that a replay looks at again: what the newest tick at or before a time has not seen. $1 definition,
--   $2 the time as seconds since 1970, $3 rows counted at most.
-- Locks: ACCESS SHARE. Index: key_log_position. Repeat: only reads.
WITH d AS MATERIALIZED (
  SELECT d.table_id, cardinality(t.key_columns) AS width,
         coalesce((SELECT k.snap FROM lfk.tick k WHERE k.at <= to_timestamp($2::float8) ORDER BY k.at DESC LIMIT 1), '1:1:'::pg_snapshot) AS snap
    FROM lfk.definition d JOIN lfk.tracked t USING (table_id) WHERE d.name = $1
), found AS (
  (SELECT l.op, l.keys, l.tkeys FROM d, pg_snapshot_xip(d.snap) x,
          LATERAL (SELECT l.op, l.keys, l.tkeys FROM lfk.key_log l WHERE l.table_id = d.table_id AND l.xid = x LIMIT $3::int8) l)
  UNION ALL
  (SELECT l.op, l.keys, l.tkeys FROM d,
          LATERAL (SELECT l.op, l.keys, l.tkeys FROM lfk.key_log l
                    WHERE l.table_id = d.table_id AND l.xid >= pg_snapshot_xmax(d.snap) LIMIT $3::int8) l)
)
SELECT coalesce(sum(coalesce(cardinality(r.keys), cardinality(r.tkeys) / d.width)), 0)::int8 AS keys,
       count(*) FILTER (WHERE r.op IN ('t', 's')) AS markers, count(*) >= $3::int8 AS is_lower_bound
  FROM d, LATERAL (SELECT * FROM found LIMIT $3::int8) r
