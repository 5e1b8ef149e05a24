-- Purpose: cancels our own statement when somebody waits for a lock that it holds: we never make others wait for longer than
--   it takes to notice. $1 our backend, $2 the beginning of the application names of our own connections.
-- Looks only at sessions that wait: pg_blocking_pids locks the lock table for a moment, so it is asked for few of them.
-- Locks: none. Index: none. Repeat: cancels nothing that has ended; false when nobody waits.
SELECT coalesce(pg_catalog.bool_or(pg_catalog.pg_cancel_backend($1::int4)), false) AS cancelled
 WHERE EXISTS (SELECT FROM pg_catalog.pg_locks w
                WHERE NOT w.granted AND w.pid <> $1::int4 AND $1::int4 = ANY (pg_catalog.pg_blocking_pids(w.pid))
                  AND NOT EXISTS (SELECT FROM pg_catalog.pg_stat_activity a
                                   WHERE a.pid = w.pid AND pg_catalog.starts_with(a.application_name, $2)))
