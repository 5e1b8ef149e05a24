-- Purpose: opens a transaction that installs, plans, reports or uninstalls.
-- Why these: it may never wait in a lock queue, since everything of the application would wait behind it. The wait stays
--   below the server's deadlock_timeout, so no deadlock check is ever run for us.
--   Reading catalogs is never worth compiling, whatever the planner thinks of large ones.
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SET LOCAL search_path = pg_catalog;
SET LOCAL row_security = off;
SET LOCAL synchronous_commit = on;
SET LOCAL statement_timeout = '30s';
SET LOCAL lock_timeout = '100ms';
SET LOCAL idle_in_transaction_session_timeout = '30s';
SET LOCAL jit = off
