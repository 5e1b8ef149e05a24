-- Purpose: whether others are at work in this server, whichever database they use: sessions of clients that run a statement or ended one
--   in the last $1 seconds. $2 the beginning of the application names of our own connections.
--   hidden: sessions of others of which this role may not know what they do (it needs pg_monitor), or which do not say
--   (track_activities is off): unknown, never idle.
-- Locks: none. Index: none, a row a session. Repeat: only reads.
SELECT pg_catalog.count(*) FILTER (
           WHERE a.backend_type = 'client backend'
             AND (a.state IN ('active', 'fastpath function call')
                  OR a.state_change > pg_catalog.clock_timestamp() - pg_catalog.make_interval(secs => $1))
       ) AS at_work,
       pg_catalog.count(*) FILTER (WHERE a.backend_type IS NULL OR a.state = 'disabled') AS hidden,
       pg_catalog.quote_ident(current_user::text) AS role
  FROM pg_catalog.pg_stat_activity a
 WHERE a.datid IS NOT NULL AND a.usesysid IS NOT NULL AND a.pid <> pg_catalog.pg_backend_pid()
   AND NOT pg_catalog.starts_with(a.application_name, $2)
