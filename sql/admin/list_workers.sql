-- Purpose: the workers of this database, and how many leases each holds.
-- Locks: ACCESS SHARE. Index: none needed, a row a process. Repeat: only reads.
SELECT w.id, w.host, w.pid::int8 AS pid, w.version,
       extract(epoch FROM clock_timestamp() - w.seen_at)::float8 AS seen_seconds_ago,
       (SELECT count(*) FROM lfk.cursor c WHERE c.owner = w.id AND c.lease_until > clock_timestamp()) AS consumers
  FROM lfk.worker w ORDER BY w.started_at, w.id
