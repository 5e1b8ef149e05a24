-- Purpose: fragment, only where parent and child share a database: the rows that this transaction has just locked.
child.ctid OPERATOR(pg_catalog.=) ANY ($"{rows}"::pg_catalog.text[]::pg_catalog.tid[])
