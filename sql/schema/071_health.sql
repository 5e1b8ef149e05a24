-- Purpose: lfk.health: how every definition of this database stands, and what is the matter. It works when nothing else
--   of lfk runs, and `lfk status` reads it too. For a role that only watches:
--     GRANT USAGE ON SCHEMA lfk TO watcher; GRANT SELECT ON lfk.health TO watcher;
--   The view reads its tables with the rights of its owner.
-- Cost: a few index probes a definition. At most lfk.count_rows (a setting; 10000 unless it is set) rows of the log and as
--   many keys set aside are counted for each; beyond them pending_is_lower_bound says that there are more.
-- Locks: ACCESS SHARE. Index: key_log_position, retry_due, retry_quarantined, the primary keys of retry and difference. Repeat: replaced in
--   place, so that rights on it stay. A later version may only add columns behind the last.
CREATE OR REPLACE VIEW lfk.health AS
WITH here AS MATERIALIZED (
  SELECT pg_catalog.clock_timestamp() AS now, (SELECT k.stopped FROM lfk.control k) AS stopped,
         coalesce(nullif(pg_catalog.current_setting('lfk.count_rows', true), '')::bigint, 10000) AS count_rows,
         -- Four missed signs of life: the bound at which other workers divide the work anew.
         interval '12 s' AS alive,
         -- A worker looks four times a second and is seen every 3 s; a deploy that replaces it takes less than this.
         interval '1 min' AS no_worker,
         -- Longer than any lease, backoff or batch: a worker that lives and moves nothing for so long does not work.
         interval '5 min' AS stalled,
         -- A database that restarts or fails over is back by then.
         interval '1 min' AS held,
         -- Many ticks: a trailing pass so late no longer catches late children within the window that the documents state.
         interval '10 min' AS trailing,
         -- The longest retention: whatever is unread and older keeps a leaf of the log from being emptied.
         interval '24 h' AS holding,
         -- Retention and one leaf are 28 h at most. After 32 h the ring comes round and mixes new rows into the leaf.
         interval '30 h' AS log_age,
         -- 10 GiB are 700 single-row deletes a second, kept for the longest retention; in bulk many times that.
         10::bigint << 30 AS log_bytes
), log AS MATERIALIZED (
  SELECT coalesce(sum(pg_catalog.pg_total_relation_size(i.inhrelid)), 0)::bigint AS bytes
    FROM pg_catalog.pg_inherits i WHERE i.inhparent = 'lfk.key_log'::pg_catalog.regclass
), worker AS MATERIALIZED (
  SELECT count(*) FILTER (WHERE w.seen_at > h.now - h.alive) AS live, max(w.seen_at) AS seen_at FROM here h LEFT JOIN lfk.worker w ON true
), facts AS (
  SELECT d.name, d.state, d.condition, d.note, d.noted_at, h.stopped, c.keys_total, c.observed_keys, c.resurrected_total,
         c.rows_affected_total + coalesce(b.rows_affected_total, 0) AS rows_affected_total,
         CASE WHEN c.lease_until > h.now AND c.advanced_at > h.now - interval '10 s' THEN c.keys_per_second ELSE 0 END AS keys_per_second,
         u.rows AS log_rows, u.keys AS log_keys, u.markers, u.oldest_at AS log_unread_at, u.log_oldest_at,
         r.waiting, r.oldest_at AS retry_at, r.due_at, q.quarantined, h.count_rows,
         greatest(c.advanced_at, b.advanced_at, s.moved_at) AS moved_at,
         s.done IS FALSE AS sweeping, s.looked_at AS sweep_looked_at,
         CASE WHEN d.state = 'active' THEN t.oldest_at END AS trailing_unread_at, b.settle,
         least(u.oldest_at, t.oldest_at) AS held_since,
         w.live, w.seen_at, g.gaps, l.bytes, d.state_changed_at,
         m.every, CASE WHEN m.every IS NOT NULL THEN m.oldest_unverified_at END AS oldest_unverified_at, m.pass_finished_at, p.confirmed
    FROM lfk.definition d
    JOIN lfk.cursor c ON c.consumer = d.name
    -- By its name and not by its settle: a planner without statistics then knows that there is one.
    LEFT JOIN lfk.cursor b ON b.consumer = d.name || '~trailing'
    LEFT JOIN lfk.sweep s ON s.consumer = c.consumer
    LEFT JOIN lfk.mirror_check m ON m.mirror = d.name
   CROSS JOIN here h CROSS JOIN log l CROSS JOIN worker w
   CROSS JOIN LATERAL lfk.unread(c.consumer, h.count_rows) u
    LEFT JOIN LATERAL lfk.unread(b.consumer, 1) t ON b.consumer IS NOT NULL
   CROSS JOIN LATERAL (
     SELECT count(*) AS waiting, min(x.created_at) AS oldest_at,
            -- Since when a key could be tried: not while it waits its time or for older transactions to end.
            min(greatest(x.not_before, x.created_at)) FILTER (WHERE x.not_before <= h.now
              AND (x.barrier IS NULL OR x.barrier < pg_catalog.pg_snapshot_xmin(pg_catalog.pg_current_snapshot()))) AS due_at
       FROM (SELECT r.created_at, r.not_before, r.barrier FROM lfk.retry r
              WHERE r.consumer IN (c.consumer, b.consumer) AND r.quarantined_at IS NULL LIMIT h.count_rows) x) r
   CROSS JOIN LATERAL (
     SELECT count(*) AS quarantined
       FROM (SELECT FROM lfk.retry r
              WHERE r.consumer IN (c.consumer, b.consumer) AND r.quarantined_at IS NOT NULL LIMIT h.count_rows) x) q
   CROSS JOIN LATERAL (
     SELECT (SELECT count(*) FROM lfk.covered v WHERE v.table_id = d.table_id AND v.outcome <> 'covered')
          + (SELECT count(*) FROM lfk.tracked y WHERE y.table_id = d.table_id
                AND NOT EXISTS (SELECT FROM pg_catalog.pg_class z WHERE z.oid = y.relation)) AS gaps) g
   -- A proof that was repeated: one alone may be of a key that the sync repairs by itself.
   CROSS JOIN LATERAL (
     SELECT CASE WHEN d.kind = 'mirror' THEN count(*) END AS confirmed
       FROM (SELECT FROM lfk.difference x WHERE x.mirror = d.name AND x.looks > 1 LIMIT h.count_rows) x) p
), judged AS (
  SELECT f.*, h.now - f.seen_at AS unseen, h.now - f.moved_at AS still, h.now - f.noted_at AS noted,
         -- How long something has waited that a worker could do.
         CASE WHEN f.stopped OR f.state NOT IN ('active', 'observe') THEN NULL
              ELSE h.now - least(f.log_unread_at, CASE WHEN f.state = 'active' THEN f.due_at END) END AS waits,
         CASE WHEN f.state IN ('active', 'canary', 'paused') THEN h.now - f.held_since END AS holds,
         greatest(h.now - f.trailing_unread_at - f.settle, interval '0') AS trails,
         h.now - f.log_oldest_at AS log_age, h.now - f.oldest_unverified_at AS unverified
    FROM facts f CROSS JOIN here h
)
SELECT j.name, j.state, j.condition, j.note, j.stopped,
       j.log_keys + j.waiting AS pending_keys,
       j.log_rows >= j.count_rows OR j.waiting >= j.count_rows AS pending_is_lower_bound,
       extract(epoch FROM h.now - least(j.log_unread_at, j.retry_at))::float8 AS oldest_pending_seconds,
       j.keys_per_second, j.keys_total, j.observed_keys, j.resurrected_total, j.rows_affected_total,
       j.waiting AS retries, j.quarantined,
       j.live AS workers, extract(epoch FROM j.unseen)::float8 AS last_worker_seen_seconds_ago,
       extract(epoch FROM j.still)::float8 AS last_moved_seconds_ago,
       j.sweeping, CASE WHEN j.sweeping THEN j.sweep_looked_at END AS sweep_looked_at,
       coalesce(extract(epoch FROM j.trails), 0)::float8 AS trailing_lag_seconds,
       j.gaps AS not_covered,
       j.bytes AS log_bytes, extract(epoch FROM j.log_age)::float8 AS log_oldest_seconds,
       pg_catalog.array_remove(ARRAY[
         CASE WHEN j.waits > h.no_worker AND (j.unseen IS NULL OR j.unseen > h.no_worker) THEN 'no_worker' END,
         CASE WHEN j.waits > h.stalled AND j.unseen <= h.no_worker AND (j.still IS NULL OR j.still > h.stalled)
               AND j.condition = 'ok' THEN 'stalled' END,
         CASE WHEN j.condition = 'blocked' THEN 'blocked' END,
         CASE WHEN j.condition = 'held' AND j.noted > h.held THEN 'held' END,
         CASE WHEN j.stopped THEN 'stopped' END,
         CASE WHEN j.quarantined > 0 THEN 'quarantined' END,
         CASE WHEN j.gaps > 0 THEN 'not_covered' END,
         CASE WHEN j.markers > 0 AND NOT j.sweeping AND j.state <> 'observe' THEN 'sweep_needed' END,
         CASE WHEN j.sweeping THEN 'sweeping' END,
         CASE WHEN j.trails > h.trailing AND NOT j.stopped THEN 'trailing_late' END,
         CASE WHEN j.holds > h.holding THEN 'held_by_cursor' END,
         CASE WHEN j.log_age > h.log_age THEN 'log_too_old' END,
         CASE WHEN j.bytes > h.log_bytes THEN 'log_too_large' END,
         CASE WHEN j.confirmed > 0 AND j.state = 'active' THEN 'differences' END,
         -- Passes are made twice as often as asked for, so this is at least three of them.
         CASE WHEN j.state = 'active' AND NOT j.stopped AND least(j.unverified, h.now - j.state_changed_at) > 2 * j.every THEN 'unverified' END
       ], NULL) AS alert,
       extract(epoch FROM j.unverified)::float8 AS oldest_unverified_seconds,
       extract(epoch FROM h.now - j.pass_finished_at)::float8 AS last_pass_seconds_ago,
       j.confirmed AS confirmed_differences
  FROM judged j CROSS JOIN here h;
COMMENT ON VIEW lfk.health IS 'How every loose foreign key of this database stands, and what is the matter (alert).';
COMMENT ON COLUMN lfk.health.alert IS 'no_worker, stalled, blocked, held, stopped, quarantined, not_covered, sweep_needed, sweeping, trailing_late, held_by_cursor, log_too_old, log_too_large, differences, unverified; empty when all is well.';
COMMENT ON COLUMN lfk.health.pending_keys IS 'Keys in the log and keys set aside that are still to be done, without those in quarantine.';
COMMENT ON COLUMN lfk.health.rows_affected_total IS 'Child rows deleted or changed; leaves out what a killed worker did in its last second.';
COMMENT ON COLUMN lfk.health.oldest_unverified_seconds IS 'Of a mirror: no row was looked at longer ago than this by its rolling check.';
COMMENT ON COLUMN lfk.health.confirmed_differences IS 'Of a mirror: rows proven to differ at two looks a moment apart; at most lfk.count_rows are counted.';
COMMENT ON COLUMN lfk.health.log_bytes IS 'The key log of the whole database.';
