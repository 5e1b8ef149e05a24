-- Purpose: lets the installer make schema lfk, in the printed script. Only in a database that has none.
-- Locks: none on tables. Repeat: yes.
DO $do$
BEGIN
  IF pg_catalog.to_regnamespace('lfk') IS NULL THEN
    EXECUTE pg_catalog.format('GRANT CREATE ON DATABASE %I TO %s', pg_catalog.current_database(), '{role_name}');
  END IF;
END $do$;
