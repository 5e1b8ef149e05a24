-- Purpose: takes the right to make a schema back from the installer, in the printed script. What it has made stays its own.
-- Locks: none on tables. Repeat: yes.
DO $do$
BEGIN
  EXECUTE pg_catalog.format('REVOKE CREATE ON DATABASE %I FROM %s', pg_catalog.current_database(), '{role_name}');
END $do$;
