-- Purpose: writes a value of this connection into its session; every transaction then looks for it.
-- Locks: none. Index: none. Repeat: only while connecting.
SELECT pg_catalog.set_config('lfk.session', '{session}', false)
