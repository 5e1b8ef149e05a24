-- Purpose: how many pages a leaf has now. $1 its number. No pages: it is gone.
-- Locks: none. Index: none. Repeat: only reads.
SELECT COALESCE(pg_relation_size($1::int8::oid) / current_setting('block_size')::int8, 0)
