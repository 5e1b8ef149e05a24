-- Purpose: what is known of the equality of each mirror, in the database of its source: written by the rolling check and by
--   the second look at keys that were synced.
-- Locks: none on anything of the application.
-- Repeat: IF NOT EXISTS.
CREATE TABLE IF NOT EXISTS lfk.mirror_check (
  mirror text PRIMARY KEY REFERENCES lfk.definition ON DELETE CASCADE,
  -- Within this time every row is to be looked at; NULL: no rolling check. After twice the time it is an alarm: where passes begin
  -- at given times this is half of the time until two of them are overdue.
  every interval,
  -- Who walks, and when it last said so: after half a minute of silence another one goes on.
  owner uuid,
  alive_at timestamptz NOT NULL DEFAULT '-infinity',
  -- The pass under way; NULL: none is.
  running_since timestamptz,
  -- The last pass that came to the end of both tables.
  pass_started_at timestamptz,
  pass_finished_at timestamptz,
  checked_rows bigint NOT NULL DEFAULT 0,
  missing bigint NOT NULL DEFAULT 0,
  different bigint NOT NULL DEFAULT 0,
  extra bigint NOT NULL DEFAULT 0,
  -- No row was looked at longer ago than this: when the last pass began that could say something of every key. Before the
  -- first one: when checking began.
  oldest_unverified_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  -- Keys of the log that were looked at once more, and how many of these differed.
  recent_checked bigint NOT NULL DEFAULT 0,
  recent_confirmed bigint NOT NULL DEFAULT 0
) WITH (fillfactor = 50);
COMMENT ON TABLE lfk.mirror_check IS 'How far the equality of each mirror is proven. A row that is deleted makes its rolling check begin anew.';

-- Proven differences, a bounded number for each mirror: seen again after a moment they persist, and only then is there an alarm.
CREATE TABLE IF NOT EXISTS lfk.difference (
  mirror text NOT NULL REFERENCES lfk.definition ON DELETE CASCADE,
  key text[] NOT NULL,
  class text NOT NULL CHECK (class IN ('missing', 'different', 'extra')),
  first_seen timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  last_seen timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  -- Proofs, each a moment after the last one.
  looks integer NOT NULL DEFAULT 1,
  -- How often it was handed to the sync.
  handed integer NOT NULL DEFAULT 0,
  PRIMARY KEY (mirror, key)
);
COMMENT ON TABLE lfk.difference IS 'Keys whose rows were proven to differ, until a later look finds them equal. From two looks on they count as confirmed.';
