-- Purpose: opens a transaction that reads the key log or writes tables of schema lfk.
-- Why these: a fresh leaf's statistics are always stale, and a sequential or bitmap scan of the log costs seconds where the
--   index costs milliseconds; a policy on one of our tables must be an error, not an absence.
--   Without sequential scans a plan on a tiny table looks so dear that it would be compiled: 100 ms for one row, hence jit.
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SET LOCAL search_path = pg_catalog;
SET LOCAL row_security = off;
SET LOCAL synchronous_commit = on;
SET LOCAL statement_timeout = '15s';
SET LOCAL lock_timeout = '2s';
SET LOCAL idle_in_transaction_session_timeout = '15s';
SET LOCAL jit = off;
SET LOCAL enable_seqscan = off;
SET LOCAL enable_bitmapscan = off
