-- Purpose: opens a transaction that changes child rows.
-- Why these: the search path stays the role's own, because triggers, CHECKs and index functions of the application may
--   rely on it; statement_timeout is the second half of the promise that nothing acts later than 10 s after its
--   re-check. When the network splits before the commit, the rows stay locked for the application until the idle timeout,
--   which is therefore no longer than a statement. With session_replication_role other than origin the chained triggers
--   would be silent, so it is refused.
--   Without sequential scans a plan on a tiny table looks so dear that it would be compiled: 100 ms for one row, hence jit.
BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE;
DO $do$ BEGIN
  IF pg_catalog.current_setting('session_replication_role') OPERATOR(pg_catalog.<>) 'origin' THEN
    RAISE EXCEPTION USING ERRCODE = '42501',
      MESSAGE = 'session_replication_role is not origin: triggers of the application and of lfk would not fire',
      HINT = 'remove the setting from the role or the database that lfk connects with';
  END IF;
END $do$;
SELECT pg_catalog.set_config('row_security', 'off', true),
       pg_catalog.set_config('synchronous_commit', 'on', true),
       pg_catalog.set_config('statement_timeout', '5s', true),
       pg_catalog.set_config('lock_timeout', '200ms', true),
       pg_catalog.set_config('idle_in_transaction_session_timeout', '5s', true),
       pg_catalog.set_config('jit', 'off', true),
       pg_catalog.set_config('enable_seqscan', 'off', true)
