-- Purpose: takes back what installer and worker got on a parent, in the printed script. Triggers that are there stay.
-- Locks: none that anybody waits for. Repeat: yes.
REVOKE SELECT ("{columns}") ON TABLE "{table}" FROM "{worker}";
DO $do$
DECLARE
  part pg_catalog.regclass;
BEGIN
  FOR part IN
    WITH RECURSIVE tree(oid) AS (
      SELECT '{table_name}'::pg_catalog.regclass::pg_catalog.oid
      UNION
      SELECT i.inhrelid FROM tree t JOIN pg_catalog.pg_inherits i ON i.inhparent = t.oid
    )
    SELECT t.oid FROM tree t JOIN pg_catalog.pg_class c ON c.oid = t.oid WHERE c.relkind IN ('r', 'p')
  LOOP
    EXECUTE pg_catalog.format('REVOKE TRIGGER ON TABLE %s FROM %s', part, '{installer_name}');
  END LOOP;
END $do$;
