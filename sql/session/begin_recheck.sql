-- Purpose: opens a READ ONLY transaction that asks which parents are absent.
-- Why these: a row-level policy that hides living parents must be an error, not an absence; a plan that reads the whole
--   parent table for a thousand keys must not be chosen.
--   Without sequential scans a plan on a tiny table looks so dear that it would be compiled: 100 ms for one row, hence jit.
BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY;
SELECT pg_catalog.set_config('search_path', 'pg_catalog', true),
       pg_catalog.set_config('row_security', 'off', true),
       pg_catalog.set_config('statement_timeout', '5s', true),
       pg_catalog.set_config('lock_timeout', '1s', true),
       pg_catalog.set_config('idle_in_transaction_session_timeout', '15s', true),
       pg_catalog.set_config('jit', 'off', true),
       pg_catalog.set_config('enable_seqscan', 'off', true)
