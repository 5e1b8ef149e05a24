-- Purpose: whether this role may ask for the cluster's identifier; a managed service may have taken that right away.
-- Locks: none. Repeat: only reads.
SELECT has_function_privilege('pg_catalog.pg_control_system()', 'EXECUTE')
