-- Purpose: takes back what the worker got on a child, in the printed script.
-- Locks: none that anybody waits for. Repeat: yes.
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
    EXECUTE pg_catalog.format('REVOKE DELETE, SELECT (ctid, %s), UPDATE (%s) ON TABLE %s FROM %s', '{read}', '{written}', part, '{role_name}');
  END LOOP;
END $do$;
