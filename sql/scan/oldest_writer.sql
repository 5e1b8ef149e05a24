-- Purpose: who has been writing for longest: what a barrier waits for. Its pid, or none for a prepared transaction; its
--   database, and its age in seconds. A role that may not look at others' sessions gets no row for them.
-- Locks: none. Index: none, a row a session. Repeat: only reads.
SELECT w.pid, w.database, w.seconds
  FROM (SELECT a.pid::int8 AS pid, a.datname::text AS database, a.backend_xid AS xid,
               coalesce(extract(epoch FROM clock_timestamp() - a.xact_start), 0)::float8 AS seconds
          FROM pg_stat_activity a WHERE a.backend_xid IS NOT NULL
        UNION ALL
        SELECT NULL, p.database::text, p.transaction, extract(epoch FROM clock_timestamp() - p.prepared)::float8
          FROM pg_prepared_xacts p) w
 ORDER BY age(w.xid) DESC LIMIT 1
