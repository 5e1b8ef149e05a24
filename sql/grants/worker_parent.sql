-- Purpose: lets the worker ask which parents are still there, in the printed script.
--   The server only warns when it grants nothing, so whoever may not grant is told so here.
-- Locks: none that anybody waits for. Repeat: yes.
GRANT USAGE ON SCHEMA "{schema}" TO "{role}";
GRANT SELECT ("{columns}") ON TABLE "{table}" TO "{role}";
DO $do$
DECLARE
  parent CONSTANT pg_catalog.regclass := '{table_name}';
BEGIN
  IF NOT pg_catalog.has_any_column_privilege('{role_name}'::pg_catalog.regrole, parent, 'SELECT') THEN
    RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
      MESSAGE = pg_catalog.format('%s may not grant SELECT on %s in database %I', current_user, parent, pg_catalog.current_database()),
      HINT = (SELECT pg_catalog.format('Run this as %s, who owns it.', c.relowner::pg_catalog.regrole) FROM pg_catalog.pg_class c WHERE c.oid = parent);
  END IF;
END $do$;
