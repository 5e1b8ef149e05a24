-- Purpose: how every definition of this database stands. $1 log rows that are counted at most for each.
--   Pending is what prev does not see, without what an open window has already passed.
-- Locks: ACCESS SHARE. Index: key_log_position. Repeat: only reads.
SELECT d.name, d.state, d.condition, d.note, k.stopped, c.keys_total, c.observed_keys, c.resurrected_total,
       c.rows_affected_total,
       CASE WHEN c.lease_until > clock_timestamp() AND c.advanced_at > clock_timestamp() - interval '10 s'
            THEN c.keys_per_second ELSE 0 END AS keys_per_second,
       p.keys AS log_keys, p.rows AS log_rows, p.oldest_seconds,
       r.waiting, r.quarantined, r.oldest_seconds AS oldest_retry_seconds
  FROM lfk.definition d
  JOIN lfk.tracked t USING (table_id)
  JOIN lfk.cursor c ON c.definition = d.name AND c.settle IS NULL
 CROSS JOIN lfk.control k
 CROSS JOIN LATERAL (
   SELECT coalesce(sum(s.keys), 0)::int8 AS keys, count(*) AS rows,
          extract(epoch FROM clock_timestamp() - min(s.at))::float8 AS oldest_seconds
     FROM (SELECT coalesce(cardinality(l.keys), cardinality(l.tkeys) / cardinality(t.key_columns), 1) AS keys, l.at
             FROM (SELECT l.* FROM lfk.key_log l WHERE l.table_id = c.table_id AND l.xid >= pg_snapshot_xmax(c.prev)
                   UNION ALL
                   SELECT l.* FROM pg_snapshot_xip(c.prev) x
                     JOIN lfk.key_log l ON l.table_id = c.table_id AND l.xid = x) l
            WHERE (c.cur IS NOT NULL AND pg_visible_in_snapshot(l.xid, c.cur)
                   AND (l.xid, l.id) <= (c.pos_xid, c.pos_id)) IS NOT TRUE
            LIMIT $1) s) p
 CROSS JOIN LATERAL (
   SELECT count(*) FILTER (WHERE r.quarantined_at IS NULL) AS waiting,
          count(*) FILTER (WHERE r.quarantined_at IS NOT NULL) AS quarantined,
          extract(epoch FROM clock_timestamp() - min(r.created_at) FILTER (WHERE r.quarantined_at IS NULL))::float8
            AS oldest_seconds
     FROM lfk.retry r WHERE r.consumer = c.consumer) r
 ORDER BY d.name
