-- Purpose: cancels our own statement when somebody waits for a lock that it holds: we never make others wait for longer than
--   it takes to notice. $1 our backend, $2 when our transaction began in microseconds since 1970, $3 the beginning of the
--   application names of our own connections.
-- A backend that has begun another transaction meanwhile, or serves another client by now, is left alone: a number of a
--   process says nothing about what it does. The server can only be told of a process, so the time is compared in the very
--   statement that cancels.
-- Looks only at sessions that wait: pg_blocking_pids locks the lock table for a moment, so it is asked for few of them.
-- Locks: none. Index: none. Repeat: cancels nothing that has ended; false when nobody waits.
SELECT coalesce(pg_catalog.bool_or(pg_catalog.pg_cancel_backend(me.pid)), false) AS cancelled
  FROM pg_catalog.pg_stat_activity me
 WHERE me.pid = $1::int4 AND (extract(epoch FROM me.xact_start) * 1000000)::int8 = $2::int8
   AND EXISTS (SELECT FROM pg_catalog.pg_locks w
                WHERE NOT w.granted AND w.pid <> $1::int4 AND $1::int4 = ANY (pg_catalog.pg_blocking_pids(w.pid))
                  AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a
                                   WHERE a.pid = w.pid AND pg_catalog.starts_with(a.application_name, $3)))
