-- Purpose: who walks through a mirror says that it still does, or takes over from somebody who has been silent; 0 rows: somebody
--   else walks, or the mirror is not active. $1 mirror, $2 owner, $3 half of the seconds after which rows that nobody has looked at
--   are an alarm, or NULL, $4 seconds of silence.
-- Locks: one row; the definition's FOR KEY SHARE. Index: primary keys. Repeat: says it once more.
INSERT INTO lfk.mirror_check AS c (mirror, every, owner, alive_at)
SELECT d.name, make_interval(secs => $3), $2, clock_timestamp()
  FROM lfk.definition d CROSS JOIN lfk.control k WHERE d.name = $1 AND d.state = 'active' AND NOT k.stopped
ON CONFLICT (mirror) DO UPDATE SET every = excluded.every, owner = excluded.owner, alive_at = excluded.alive_at
 WHERE c.owner IS NULL OR c.owner = excluded.owner OR c.alive_at < clock_timestamp() - make_interval(secs => $4)
RETURNING extract(epoch FROM clock_timestamp() - oldest_unverified_at)::float8 AS unverified, checked_rows,
          extract(epoch FROM clock_timestamp() - running_since)::float8 AS running,
          extract(epoch FROM running_since)::text AS pass,
          extract(epoch FROM clock_timestamp() - pass_started_at)::float8 AS started,
          extract(epoch FROM clock_timestamp() - pass_finished_at)::float8 AS finished,
          extract(epoch FROM clock_timestamp())::float8 AS now
