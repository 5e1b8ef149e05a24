-- Purpose: opens a READ ONLY transaction that compares rows of two databases, or reads rows that are to be written elsewhere.
-- Why these: a row-level policy that hides rows must be an error, not an absence; texts of the same value must be the same
--   text in both databases, whatever role and database defaults say; plans are made for the keys at hand, because a search of
--   a constant list is hashed and one of a parameter is not; without sequential scans a plan on a tiny table looks so dear that
--   it would be compiled; with TID scans a walk in physical order reads the pages that it asks for, and no others; a reader in
--   the background uses one core.
BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY;
SELECT pg_catalog.set_config('search_path', 'pg_catalog', true),
       pg_catalog.set_config('row_security', 'off', true),
       pg_catalog.set_config('statement_timeout', '15s', true),
       pg_catalog.set_config('lock_timeout', '1s', true),
       pg_catalog.set_config('idle_in_transaction_session_timeout', '15s', true),
       pg_catalog.set_config('plan_cache_mode', 'force_custom_plan', true),
       pg_catalog.set_config('max_parallel_workers_per_gather', '0', true),
       pg_catalog.set_config('jit', 'off', true),
       pg_catalog.set_config('enable_seqscan', 'off', true),
       pg_catalog.set_config('enable_bitmapscan', 'off', true),
       pg_catalog.set_config('enable_tidscan', 'on', true),
       pg_catalog.set_config('TimeZone', 'UTC', true),
       pg_catalog.set_config('DateStyle', 'ISO, YMD', true),
       pg_catalog.set_config('IntervalStyle', 'postgres', true),
       pg_catalog.set_config('extra_float_digits', '3', true),
       pg_catalog.set_config('bytea_output', 'hex', true),
       pg_catalog.set_config('xmloption', 'content', true)
