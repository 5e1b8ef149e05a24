-- Purpose: what is committed now, for keys whose backlog was too long to be read.
-- Locks: none. Index: none. Repeat: gives another one.
SELECT pg_current_snapshot()::text AS snap
