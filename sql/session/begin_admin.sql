-- Purpose: opens a transaction that installs, plans, reports or uninstalls.
-- Why these: it may never wait in a lock queue, since everything of the application would wait behind it. The wait stays
--   below the server's deadlock_timeout, so no deadlock check is ever run for us.
--   Reading catalogs is never worth compiling, whatever the planner thinks of large ones.
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
SELECT pg_catalog.set_config('search_path', 'pg_catalog', true),
       pg_catalog.set_config('row_security', 'off', true),
       pg_catalog.set_config('synchronous_commit', 'on', true),
       pg_catalog.set_config('statement_timeout', '30s', true),
       pg_catalog.set_config('lock_timeout', '100ms', true),
       pg_catalog.set_config('idle_in_transaction_session_timeout', '30s', true),
       pg_catalog.set_config('jit', 'off', true)
