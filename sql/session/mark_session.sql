-- Purpose: writes a value of this connection into its session; every transaction then looks for it. Answers whether the
--   session is a new one that has what was asked for when connecting: a pooler that was told to ignore that has swallowed
--   the options, and a session with a value has served another client before.
-- Why these: a value alone says nothing about a session that was there before.
-- Locks: none. Index: none. Repeat: only while connecting.
WITH found AS MATERIALIZED (
  SELECT coalesce(pg_catalog.current_setting('lfk.direct', true), '') AS direct,
         coalesce(pg_catalog.current_setting('lfk.session', true), '') AS session
)
SELECT f.direct OPERATOR(pg_catalog.=) 'on' AND f.session OPERATOR(pg_catalog.=) '' AS ours,
       pg_catalog.set_config('lfk.session', '{session}', false) AS session
  FROM found f
