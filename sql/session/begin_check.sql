-- Purpose: opens a READ ONLY transaction that compares rows of two databases, or reads rows that are to be written elsewhere.
-- Why these: a row-level policy that hides rows must be an error, not an absence; texts of the same value must be the same
--   text in both databases, whatever role and database defaults say; plans are made for the keys at hand, because a search of
--   a constant list is hashed and one of a parameter is not; without sequential scans a plan on a tiny table looks so dear that
--   it would be compiled; a reader in the background uses one core.
BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY;
SET LOCAL search_path = pg_catalog;
SET LOCAL row_security = off;
SET LOCAL statement_timeout = '15s';
SET LOCAL lock_timeout = '1s';
SET LOCAL idle_in_transaction_session_timeout = '15s';
SET LOCAL plan_cache_mode = force_custom_plan;
SET LOCAL max_parallel_workers_per_gather = 0;
SET LOCAL jit = off;
SET LOCAL enable_seqscan = off;
SET LOCAL enable_bitmapscan = off;
SET LOCAL "TimeZone" = 'UTC';
SET LOCAL "DateStyle" = 'ISO, YMD';
SET LOCAL "IntervalStyle" = 'postgres';
SET LOCAL extra_float_digits = 3;
SET LOCAL bytea_output = 'hex';
SET LOCAL xmloption = 'content'
