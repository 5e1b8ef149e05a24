-- Purpose: opens a transaction that reads the key log or writes tables of schema lfk.
-- Why these: a fresh leaf's statistics are always stale, and a sequential or bitmap scan of the log costs seconds where the
--   index costs milliseconds; a policy on one of our tables must be an error, not an absence.
--   Without sequential scans a plan on a tiny table looks so dear that it would be compiled: 100 ms for one row, hence jit.
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SELECT pg_catalog.set_config('search_path', 'pg_catalog', true),
       pg_catalog.set_config('row_security', 'off', true),
       pg_catalog.set_config('synchronous_commit', 'on', true),
       pg_catalog.set_config('statement_timeout', '15s', true),
       pg_catalog.set_config('lock_timeout', '2s', true),
       pg_catalog.set_config('idle_in_transaction_session_timeout', '15s', true),
       pg_catalog.set_config('jit', 'off', true),
       pg_catalog.set_config('enable_seqscan', 'off', true),
       pg_catalog.set_config('enable_bitmapscan', 'off', true)
