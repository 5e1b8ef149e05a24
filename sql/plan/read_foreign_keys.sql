-- Purpose: real foreign keys that leave a tree or point at it; those that partitions inherit are not repeated. $1 the oids.
--   From 18 on a key may be NOT ENFORCED and then does nothing; that column is read as JSON, because 15 has none.
-- Locks: catalogs only. Index: pg_constraint_conrelid_contypid_conname_index for those that leave; those that point at it
--   are found by reading pg_constraint. Repeat: only reads.
SELECT k.conname::text AS name, k.conrelid = ANY ($1::int8[]::oid[]) AS leaves, k.confrelid = ANY ($1::int8[]::oid[]) AS arrives,
       fn.nspname::text AS from_schema, f.relname::text AS from_table, tn.nspname::text AS to_schema, t.relname::text AS to_table,
       k.confdeltype::text AS on_delete,
       ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = k.conrelid AND a.attnum = ANY (k.conkey)) AS from_columns,
       ARRAY(SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = k.confrelid AND a.attnum = ANY (k.confkey)) AS to_columns
  FROM pg_constraint k
  JOIN pg_class f ON f.oid = k.conrelid JOIN pg_namespace fn ON fn.oid = f.relnamespace
  JOIN pg_class t ON t.oid = k.confrelid JOIN pg_namespace tn ON tn.oid = t.relnamespace
 WHERE k.contype = 'f' AND k.conparentid = 0 AND COALESCE((to_jsonb(k) ->> 'conenforced')::boolean, true)
   AND (k.conrelid = ANY ($1::int8[]::oid[]) OR k.confrelid = ANY ($1::int8[]::oid[]))
 ORDER BY fn.nspname, f.relname, k.conname
