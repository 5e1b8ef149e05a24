-- Purpose: moves a position that still has the version it was read with; no row is affected otherwise, also when somebody moved
--   it while this statement waited. Binds: $1 name, $2 value, $3 version, $4 version it was read with.
-- Locks: the row. Index: position_pkey. Repeat: no; the second time the version is another.
UPDATE lfk.position SET value = $2, version = $3, moved_at = pg_catalog.clock_timestamp() WHERE name = $1 AND version = $4
