-- Purpose: types, collations and rights of some columns over a whole tree. $1 the tables' oids, $2 the columns' names.
--   The locale of an ICU collation is read by name from the row as JSON: its column is called differently in 15 and 17.
-- Locks: catalogs only. Index: pg_attribute_relid_attnam_index. Repeat: only reads.
SELECT a.attrelid::int8 AS table_id, a.attname::text AS name, format_type(a.atttypid, a.atttypmod) AS type_name,
       a.attnotnull OR t.typnotnull AS not_null, a.attgenerated <> '' AS generated, a.attidentity = 'a' AS always_identity,
       l.collisdeterministic AS deterministic,
       concat_ws(' ', l.collprovider, COALESCE(j.body ->> 'colllocale', j.body ->> 'colliculocale', l.collcollate::text),
                 j.body ->> 'collicurules') AS collation,
       has_column_privilege(a.attrelid, a.attnum, 'SELECT') AS may_select,
       has_column_privilege(a.attrelid, a.attnum, 'UPDATE') AS may_update
  FROM pg_attribute a JOIN pg_type t ON t.oid = a.atttypid
  LEFT JOIN pg_collation l ON l.oid = a.attcollation
  LEFT JOIN LATERAL (SELECT to_jsonb(l) AS body) j ON true
 WHERE a.attrelid = ANY ($1::int8[]::oid[]) AND a.attname::text = ANY ($2::text[]) AND a.attnum > 0 AND NOT a.attisdropped
