-- Purpose: lets the installer make schema lfk, in the printed script. Only in a database that has none.
--   The server only warns when it grants nothing, so whoever may not grant is told so here.
-- Locks: none on tables. Repeat: yes.
DO $do$
BEGIN
  IF pg_catalog.to_regnamespace('lfk') IS NULL THEN
    EXECUTE pg_catalog.format('GRANT CREATE ON DATABASE %I TO %s', pg_catalog.current_database(), '{role_name}');
    IF NOT pg_catalog.has_database_privilege('{role_name}'::pg_catalog.regrole, pg_catalog.current_database(), 'CREATE') THEN
      RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
        MESSAGE = pg_catalog.format('%s may not grant CREATE on database %I', current_user, pg_catalog.current_database()),
        HINT = (SELECT pg_catalog.format('Run this as %s, who owns it.', d.datdba::pg_catalog.regrole)
                  FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database());
    END IF;
  END IF;
END $do$;
