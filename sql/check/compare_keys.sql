-- Purpose: which of two keys comes first, by the server's own order. $1 … the one, then the other.
-- Locks: none. Index: none. Repeat: only reads.
SELECT ("{one}") OPERATOR(pg_catalog.<) ("{other}") AS before, ("{one}") OPERATOR(pg_catalog.=) ("{other}") AS same
