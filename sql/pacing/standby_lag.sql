-- Purpose: how far the standbys of this database are behind. hidden: standbys that this role may not look at (it needs
--   pg_monitor); what is hidden is unknown, never zero. A standby that has caught up reports no lag.
-- Locks: none. Index: none, a row a standby. Repeat: only reads.
SELECT pg_catalog.count(*) AS standbys,
       pg_catalog.count(*) FILTER (WHERE r.state IS NULL) AS hidden,
       coalesce(pg_catalog.max(extract(epoch FROM r.replay_lag)), 0)::float8 AS lag_seconds,
       pg_catalog.quote_ident(current_user::text) AS role,
       coalesce(pg_catalog.max(pg_catalog.pg_wal_lsn_diff(pg_catalog.pg_current_wal_lsn(), r.replay_lsn)), 0)::float8 AS lag_bytes
  FROM pg_catalog.pg_stat_replication r
 WHERE r.state IS NULL OR r.state = 'streaming'
