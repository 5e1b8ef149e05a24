-- Purpose: whether schema lfk is in this database, and whether this role may read what tells lag from an orphan.
-- Locks: catalogs only. Index: of the catalogs. Repeat: only reads.
SELECT count(*) > 0 AS present,
       coalesce(bool_and(has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT')), false) AS readable
  FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid
 WHERE n.nspname = 'lfk' AND c.relkind IN ('r', 'p')
   AND c.relname IN ('identity', 'control', 'tracked', 'definition', 'cursor', 'retry', 'key_log')
