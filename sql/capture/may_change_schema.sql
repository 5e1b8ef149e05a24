-- Purpose: whether this role may change what is in schema lfk: it owns the schema, or there is none yet. Names the owner.
-- Locks: catalogs only. Index: pg_namespace_nspname_index. Repeat: only reads.
SELECT pg_has_role(n.nspowner, 'USAGE') AS may, quote_ident(pg_get_userbyid(n.nspowner)) AS owner
  FROM pg_namespace n WHERE n.nspname = 'lfk'
