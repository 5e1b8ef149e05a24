-- Purpose: how far scans and checks have come, where they keep that in PostgreSQL.
-- Locks: none on anything of the application.
-- Repeat: IF NOT EXISTS.
CREATE TABLE IF NOT EXISTS lfk.position (
  name text PRIMARY KEY,
  value text NOT NULL,
  -- Drawn at random with every write: nobody who holds an older one can write.
  version bigint NOT NULL CHECK (version > 0),
  moved_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
COMMENT ON TABLE lfk.position IS 'Positions of scans and checks. A row that is deleted makes the next one start again, and does no other harm.';
