-- Purpose: lets the worker write the target of a mirror, in the printed script. Its statements name the target itself, and
--   rights on its partitions are not asked for. SELECT is on the whole table: a repair keeps the row as it was, with columns
--   that are not mirrored. UPDATE is on the mirrored columns only; locking a row needs it on one column at least.
--   The server only warns when it grants nothing, so whoever may not grant is told so here.
-- Locks: none that anybody waits for. Repeat: yes.
GRANT USAGE ON SCHEMA "{schema}" TO "{role}";
GRANT SELECT, DELETE, INSERT ("{inserted}"), UPDATE ("{updated}") ON TABLE "{table}" TO "{role}";
DO $do$
DECLARE
  target CONSTANT pg_catalog.regclass := '{table_name}';
BEGIN
  IF NOT pg_catalog.has_table_privilege('{role_name}'::pg_catalog.regrole, target, 'DELETE') THEN
    RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
      MESSAGE = pg_catalog.format('%s may not grant SELECT, INSERT, UPDATE and DELETE on %s in database %I', current_user, target, pg_catalog.current_database()),
      HINT = (SELECT pg_catalog.format('Run this as %s, who owns it.', c.relowner::pg_catalog.regrole) FROM pg_catalog.pg_class c WHERE c.oid = target);
  END IF;
END $do$;
