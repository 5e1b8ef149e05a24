-- Purpose: whether a declared value can be read as its column's type and compared with our operator; the error says why not.
-- Locks: none. Index: none. Repeat: only reads.
SELECT '{value}'::"{type}" OPERATOR(pg_catalog.=) '{value}' AS same
