-- Purpose: takes back everything that the worker has in schema lfk, in the printed script.
-- Locks: none that anybody waits for. Repeat: yes.
DO $do$
BEGIN
  IF pg_catalog.to_regnamespace('lfk') IS NOT NULL THEN
    EXECUTE pg_catalog.format('REVOKE ALL ON ALL TABLES IN SCHEMA lfk FROM %s', '{role_name}');
    EXECUTE pg_catalog.format('REVOKE ALL ON ALL FUNCTIONS IN SCHEMA lfk FROM %s', '{role_name}');
    EXECUTE pg_catalog.format('REVOKE ALL ON SCHEMA lfk FROM %s', '{role_name}');
  END IF;
END $do$;
