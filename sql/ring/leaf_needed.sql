-- Purpose: whether a leaf of the key log is empty, and whether anybody still needs a row in it: a consumer of an active,
--   canary or paused definition that has not seen it, or the retention. $1 retention in seconds.
--   Exact: a long writer in another database does not hold it up, as the oldest running xid would. Without a tick that is
--   old enough everything is needed.
-- Locks: ACCESS SHARE. Index: key_log_position of the leaf, tick_pkey.
-- Repeat: only reads. Run again under the lock, as a statement of its own and READ COMMITTED: it needs its own snapshot.
WITH RECURSIVE t(table_id) AS (
  (SELECT l.table_id FROM "{log}" l ORDER BY l.table_id LIMIT 1)
  UNION ALL
  SELECT (SELECT l.table_id FROM "{log}" l WHERE l.table_id > t.table_id ORDER BY l.table_id LIMIT 1)
    FROM t WHERE t.table_id IS NOT NULL
), need AS (
  SELECT c.table_id, c.prev::text AS snap
    FROM lfk.cursor c JOIN lfk.definition d ON d.name = c.definition
   WHERE d.state IN ('active', 'canary', 'paused')
  UNION
  SELECT t.table_id, (SELECT k.snap::text FROM lfk.tick k WHERE k.at <= clock_timestamp() - make_interval(secs => $1)
                       ORDER BY k.at DESC LIMIT 1)
    FROM t WHERE t.table_id IS NOT NULL
)
SELECT NOT EXISTS (SELECT FROM t WHERE t.table_id IS NOT NULL) AS empty,
       coalesce((SELECT bool_or(c.prev IS NULL OR "{unseen}")
                   FROM (SELECT n.table_id, n.snap::pg_snapshot AS prev FROM need n) c), false) AS needed
