-- Purpose: how far the standbys of this database are behind, and which one is it most, by the name it gives itself and its address.
--   hidden: standbys that this role may not look at (it needs pg_monitor); what is hidden is unknown, never zero, and has no
--   name. A standby that has caught up reports no lag.
-- Locks: none. Index: none, a row a standby. Repeat: only reads.
WITH r AS (
  SELECT r.state IS NULL AS hidden, extract(epoch FROM r.replay_lag)::float8 AS seconds,
         pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), r.replay_lsn)::float8 AS bytes,
         concat_ws(' at ', '"' || nullif(r.application_name, '') || '"',
                   coalesce(pg_catalog.host(r.client_addr), CASE WHEN r.state IS NOT NULL THEN 'this machine' END)) AS name
    FROM pg_catalog.pg_stat_replication r
   WHERE r.state IS NULL OR r.state = 'streaming'
)
SELECT pg_catalog.count(*) AS standbys, pg_catalog.count(*) FILTER (WHERE r.hidden) AS hidden,
       coalesce(pg_catalog.max(r.seconds), 0)::float8 AS lag_seconds,
       coalesce(pg_catalog.max(r.bytes), 0)::float8 AS lag_bytes,
       (SELECT s.name FROM r s WHERE NOT s.hidden ORDER BY s.seconds DESC NULLS LAST LIMIT 1) AS latest,
       (SELECT s.name FROM r s WHERE NOT s.hidden ORDER BY s.bytes DESC NULLS LAST LIMIT 1) AS largest,
       pg_catalog.quote_ident(current_user::text) AS role
  FROM r
