-- Purpose: the append-only key log, a ring of eight leaves of four hours and a DEFAULT leaf, and the ticks.
-- Locks: none on anything of the application. The index is made only together with the table: CREATE INDEX would
--   otherwise take SHARE on the log, and every DELETE of the application would wait for it.
-- Repeat: does nothing when the table is there.
DO $do$
BEGIN
  IF pg_catalog.to_regclass('lfk.key_log') IS NULL THEN
    -- The leaf is computed from the clock at write time: rotation needs no DDL, and the routing can never point at
    -- nothing, because the DEFAULT leaf takes what a missing leaf would have.
    CREATE TABLE lfk.key_log (
      leaf smallint NOT NULL DEFAULT ((extract(epoch FROM pg_catalog.clock_timestamp())::bigint / 14400) % 8)::smallint,
      table_id integer NOT NULL,
      op "char" NOT NULL DEFAULT 'd',
      xid xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
      id bigint GENERATED ALWAYS AS IDENTITY (CACHE 32),
      at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
      keys bigint[],
      tkeys text[]
    ) PARTITION BY LIST (leaf);
    CREATE INDEX key_log_position ON lfk.key_log (table_id, xid, id);
    FOR n IN 0..7 LOOP
      EXECUTE pg_catalog.format('CREATE TABLE lfk.%I PARTITION OF lfk.key_log FOR VALUES IN (%s)', 'key_log_' || n, n);
    END LOOP;
    CREATE TABLE lfk.key_log_default PARTITION OF lfk.key_log DEFAULT;
  END IF;
END $do$;
COMMENT ON TABLE lfk.key_log IS 'Keys that were deleted or changed, written by triggers in the transaction that did it. Never updated, never deleted row by row.';
COMMENT ON COLUMN lfk.key_log.op IS 'd: keys deleted; u: old keys of an UPDATE (for a mirror: every key that it changed or made); i: keys inserted (for a mirror); t: TRUNCATE marker; s: sweep marker (the key columns do not fit, or a part of the tree was not covered for a while).';
COMMENT ON COLUMN lfk.key_log.id IS 'Order inside one xid only; says nothing about the order of transactions.';
COMMENT ON COLUMN lfk.key_log.at IS 'Information for people; nothing is decided by it.';
COMMENT ON COLUMN lfk.key_log.keys IS 'Keys of one integer column, at most 1000 a row.';
COMMENT ON COLUMN lfk.key_log.tkeys IS 'Keys of any other kind as text, at most 1000 a row; the columns of a composite key follow one another.';

-- Ties a time to a snapshot: everything that a tick sees was committed by its time.
CREATE TABLE IF NOT EXISTS lfk.tick (
  at timestamptz PRIMARY KEY DEFAULT pg_catalog.clock_timestamp(),
  snap pg_snapshot NOT NULL DEFAULT pg_catalog.pg_current_snapshot()
);
COMMENT ON TABLE lfk.tick IS 'Pairs of time and snapshot, for trailing cursors, retention and replay from a time.';

-- What is not in the log any more. Written with each TRUNCATE of a leaf, so that whoever goes back to a time knows whether the
--   log still has everything since. No row: nothing was ever retired.
CREATE TABLE IF NOT EXISTS lfk.retired (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  snap pg_snapshot NOT NULL,
  changed_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
COMMENT ON TABLE lfk.retired IS 'Every row that was ever retired from the log was seen by this snapshot.';

-- Whether one snapshot saw everything that another one saw. Those of one primary are ordered in time: of two, one always includes
--   the other.
CREATE OR REPLACE FUNCTION lfk.includes(later pg_snapshot, earlier pg_snapshot) RETURNS boolean
LANGUAGE sql IMMUTABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $includes$
  SELECT pg_snapshot_xmax(earlier) <= pg_snapshot_xmax(later)
     AND NOT EXISTS (SELECT FROM pg_snapshot_xip(later) x WHERE pg_visible_in_snapshot(x, earlier))
$includes$;
COMMENT ON FUNCTION lfk.includes(pg_snapshot, pg_snapshot) IS 'Whether the first snapshot saw everything that the second one saw.';
