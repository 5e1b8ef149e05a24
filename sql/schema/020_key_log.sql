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
