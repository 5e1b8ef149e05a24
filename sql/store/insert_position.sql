-- Purpose: a position where there is none; no row is affected where there is one. Binds: $1 name, $2 value, $3 version.
-- Locks: ROW EXCLUSIVE; waits for somebody who inserts the same name. Index: position_pkey.
-- Repeat: no; the second time there is one.
INSERT INTO lfk.position (name, value, version) VALUES ($1, $2, $3) ON CONFLICT (name) DO NOTHING
