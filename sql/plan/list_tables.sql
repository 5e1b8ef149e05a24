-- Purpose: tables that someone may have meant who named one that is not there. $1 schema, $2 table.
-- Locks: catalogs only. Index: none, it runs only when a table is missing. Repeat: only reads.
SELECT n.nspname::text AS schema, c.relname::text AS name
  FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' AND (n.nspname = $1::name OR c.relname = $2::name)
 ORDER BY 1, 2 LIMIT 5000
