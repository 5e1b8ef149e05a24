-- Purpose: opens a READ ONLY transaction that asks which parents are absent.
-- Why these: a row-level policy that hides living parents must be an error, not an absence; a plan that reads the whole
--   parent table for a thousand keys must not be chosen.
--   Without sequential scans a plan on a tiny table looks so dear that it would be compiled: 100 ms for one row, hence jit.
BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY;
SET LOCAL search_path = pg_catalog;
SET LOCAL row_security = off;
SET LOCAL statement_timeout = '5s';
SET LOCAL lock_timeout = '1s';
SET LOCAL idle_in_transaction_session_timeout = '15s';
SET LOCAL jit = off;
SET LOCAL enable_seqscan = off
