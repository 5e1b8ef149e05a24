-- Purpose: how a fill stands. $1 consumer. No row: the mirror was never filled.
-- Locks: ACCESS SHARE. Index: primary key. Repeat: only reads.
SELECT s.done, s.covers::text AS covers, s.part::int4 AS part, s.behind, s.looked_at, s.orphans AS rows,
       extract(epoch FROM clock_timestamp() - s.started_at)::float8 AS seconds
  FROM lfk.sweep s WHERE s.consumer = $1
