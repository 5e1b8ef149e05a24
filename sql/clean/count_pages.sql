-- Purpose: how many pages one leaf has. Those that are added later are found by a list.
-- Locks: none that outlasts the look at the file. Index: none. Repeat: only reads.
SELECT pg_catalog.pg_relation_size('{leaf_name}'::pg_catalog.regclass)
       OPERATOR(pg_catalog./) pg_catalog.current_setting('block_size')::pg_catalog.int8 AS pages
