-- Purpose: lets the worker read the source of a mirror with expressions or a filter, in the printed script. They may use any
--   column, and the server judges them on an empty temporary table made like the source, which takes SELECT on all of it.
--   The server only warns when it grants nothing, so whoever may not grant is told so here. The right to make temporary tables
--   is only given where it was taken from PUBLIC.
-- Locks: none that anybody waits for. Repeat: yes; also when columns are added.
GRANT USAGE ON SCHEMA "{schema}" TO "{role}";
GRANT SELECT ON TABLE "{table}" TO "{role}";
DO $do$
DECLARE
  source CONSTANT pg_catalog.regclass := '{table_name}';
BEGIN
  IF NOT pg_catalog.has_table_privilege('{role_name}'::pg_catalog.regrole, source, 'SELECT') THEN
    RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
      MESSAGE = pg_catalog.format('%s may not grant SELECT on %s in database %I', current_user, source, pg_catalog.current_database()),
      HINT = (SELECT pg_catalog.format('Run this as %s, who owns it.', c.relowner::pg_catalog.regrole) FROM pg_catalog.pg_class c WHERE c.oid = source);
  END IF;
  IF NOT pg_catalog.has_database_privilege('{role_name}'::pg_catalog.regrole, pg_catalog.current_database(), 'TEMPORARY') THEN
    EXECUTE pg_catalog.format('GRANT TEMPORARY ON DATABASE %I TO %s', pg_catalog.current_database(), '{role_name}');
    IF NOT pg_catalog.has_database_privilege('{role_name}'::pg_catalog.regrole, pg_catalog.current_database(), 'TEMPORARY') THEN
      RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
        MESSAGE = pg_catalog.format('%s may not grant TEMPORARY on database %I', current_user, pg_catalog.current_database()),
        HINT = (SELECT pg_catalog.format('Run this as %s, who owns it.', d.datdba::pg_catalog.regrole)
                  FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database());
    END IF;
  END IF;
END $do$;
