-- Purpose: to where the cursors of a definition have to go back, so that whatever was visited after a time is visited again.
--   $1 definition; $2 the time as seconds since 1970, or NULL: $3 seconds ago.
--   A key is visited for the last time settle after its commit, so the time that counts (at_epoch) lies that much earlier. Then
--   the newest tick before it: everything that this has not seen, and it alone, may have been committed later. Without a tick so
--   old, the start of the log.
--   whole: nothing that is to be visited again has left the log. A cursor that has not come so far yet needs nothing of what
--   is behind it, and holds what is before it unless the definition observes.
--   oldest: the earliest time that could be asked for.
-- Locks: ACCESS SHARE. Index: tick_pkey, primary keys. Repeat: only reads. Once without a lock, to say how much it will be, and
--   again under the locks of ring and cursors.
WITH asked AS MATERIALIZED (
  SELECT d.name, d.state, n.now, n.since, s.settle, n.since - s.settle AS at, s.prev_at
    FROM lfk.definition d
   CROSS JOIN LATERAL (SELECT c.now, coalesce(to_timestamp($2::float8), c.now - make_interval(secs => $3::float8)) AS since
                         FROM (SELECT clock_timestamp() AS now) c) n
   CROSS JOIN LATERAL (SELECT coalesce(max(c.settle), interval '0') AS settle, max(c.prev_at) AS prev_at
                         FROM lfk.cursor c WHERE c.definition = d.name) s
   WHERE d.name = $1
)
SELECT a.state, a.since > a.now AS future, extract(epoch FROM a.since)::float8 AS since_epoch,
       extract(epoch FROM a.at)::float8 AS at_epoch,
       r.snap IS NULL OR coalesce(lfk.includes(k.snap, r.snap), false)
         OR (a.state <> 'observe' AND a.prev_at <= a.at) AS whole,
       to_char(k.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS start,
       (SELECT to_char(date_trunc('second', t.at + a.settle + interval '1 s') AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')
          FROM lfk.tick t WHERE lfk.includes(t.snap, r.snap) ORDER BY t.at LIMIT 1) AS oldest
  FROM asked a
  LEFT JOIN lfk.retired r ON true
  LEFT JOIN LATERAL (SELECT t.at, t.snap FROM lfk.tick t WHERE t.at <= a.at ORDER BY t.at DESC LIMIT 1) k ON true
