-- Purpose: fragment: rows by their address: those of a list, or, where parent and child share a database, those that this
--   transaction has just locked.
child.ctid OPERATOR(pg_catalog.=) ANY ($"{rows}"::pg_catalog.text[]::pg_catalog.tid[])
