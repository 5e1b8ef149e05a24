-- Purpose: what the worker does with schema lfk where parents live, in the printed script: reads everything, moves cursors,
--   keeps retries, sweeps, ticks, positions of scans, what checks found and its own row, changes states and the switch, empties leaves of the log
--   that nobody needs, and notes what was in them. It may not write to the log, nor change definitions. lfk.cover runs with the
--   rights of the installer.
-- Locks: none that anybody waits for. Repeat: yes.
GRANT USAGE ON SCHEMA lfk TO "{role}";
GRANT SELECT ON ALL TABLES IN SCHEMA lfk TO "{role}";
GRANT UPDATE ON lfk.cursor TO "{role}";
GRANT UPDATE (state, state_changed_at, condition, note, noted_at, nonce, next_nonce) ON lfk.definition TO "{role}";
GRANT UPDATE (stopped, changed_at, changed_by) ON lfk.control TO "{role}";
GRANT INSERT, UPDATE, DELETE ON lfk.difference, lfk.position, lfk.retry, lfk.worker TO "{role}";
GRANT INSERT, UPDATE ON lfk.mirror_check, lfk.sweep, lfk.retired TO "{role}";
GRANT INSERT, DELETE ON lfk.tick TO "{role}";
GRANT INSERT ON lfk.audit TO "{role}";
GRANT EXECUTE ON FUNCTION lfk.cover(integer, integer) TO "{role}";
DO $do$
DECLARE
  leaf pg_catalog.regclass;
BEGIN
  FOR leaf IN SELECT t.relid FROM pg_catalog.pg_partition_tree('lfk.key_log') t LOOP
    EXECUTE pg_catalog.format('GRANT TRUNCATE ON TABLE %s TO %s', leaf, '{role_name}');
  END LOOP;
END $do$;
