-- Purpose: lets the worker delete children, in the printed script.
-- Locks: none that anybody waits for. Repeat: yes; also for new partitions.
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
    SELECT t.oid FROM tree t JOIN pg_catalog.pg_class c ON c.oid = t.oid WHERE c.relkind = 'r'
  LOOP
    EXECUTE pg_catalog.format('GRANT DELETE ON TABLE %s TO %s', part, '{role_name}');
  END LOOP;
END $do$;
