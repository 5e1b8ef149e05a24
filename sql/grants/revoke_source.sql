-- Purpose: takes back what the worker got on the source of a mirror with expressions or a filter, in the printed script.
-- Locks: none that anybody waits for. Repeat: yes.
REVOKE SELECT ON TABLE "{table}" FROM "{role}";
DO $do$
BEGIN
  EXECUTE pg_catalog.format('REVOKE TEMPORARY ON DATABASE %I FROM %s', pg_catalog.current_database(), '{role_name}');
END $do$;
