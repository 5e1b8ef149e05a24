-- Purpose: columns that someone may have meant who named one that is not there. $1 the table's oid.
-- Locks: catalogs only. Index: pg_attribute_relid_attnum_index. Repeat: only reads.
SELECT a.attname::text AS name FROM pg_attribute a
 WHERE a.attrelid = $1::int8::oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum
