-- Purpose: lets the installer put triggers on a parent and on everything below it, in the printed script.
--   The server only warns when it grants nothing, so whoever may not grant is told so here.
-- Locks: none that anybody waits for. Repeat: yes; also for new partitions, unless the installer owns them.
GRANT USAGE ON SCHEMA "{schema}" TO "{role}";
DO $do$
DECLARE
  part pg_catalog.regclass;
BEGIN
  FOR part IN
    WITH RECURSIVE tree(oid) AS (
      SELECT '{table}'::pg_catalog.regclass::pg_catalog.oid
      UNION
      SELECT i.inhrelid FROM tree t JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid
    )
    SELECT t.oid FROM tree t JOIN pg_catalog.pg_class c ON c.oid = t.oid WHERE c.relkind IN ('r', 'p')
  LOOP
    EXECUTE pg_catalog.format('GRANT TRIGGER ON TABLE %s TO %s', part, '{role_name}');
    IF NOT pg_catalog.has_table_privilege('{role_name}'::pg_catalog.regrole, part, 'TRIGGER') THEN
      RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege',
        MESSAGE = pg_catalog.format('%s may not grant TRIGGER on %s in database %I', current_user, part, pg_catalog.current_database()),
        HINT = (SELECT pg_catalog.format('Run this as %s, who owns it.', c.relowner::pg_catalog.regrole) FROM pg_catalog.pg_class c WHERE c.oid = part);
    END IF;
  END LOOP;
END $do$;
