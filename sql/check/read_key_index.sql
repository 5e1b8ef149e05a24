-- Purpose: whether some columns of a table are a key, and whether an index sorts them byte by byte.
--   $1 the table as SQL names it, $2 the columns' names in their order.
-- Locks: catalogs only. Index: pg_index_indrelid_index. Repeat: only reads.
WITH i AS (
  SELECT i.indisunique, i.indnkeyatts, i.indkey::int2[] AS columns, i.indcollation::oid[] AS collations,
         ARRAY(SELECT a.attnum FROM unnest($2::text[]) WITH ORDINALITY k(name, ord)
                 JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attname::text = k.name ORDER BY k.ord) AS keys
    FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam
   WHERE i.indrelid = to_regclass($1) AND i.indisvalid AND i.indpred IS NULL AND m.amname = 'btree'
)
SELECT COALESCE(bool_or(i.indisunique AND i.indnkeyatts = cardinality(i.keys)
                        AND i.columns[0:i.indnkeyatts - 1] @> i.keys), false) AS is_key,
       COALESCE(bool_or(i.columns[0:cardinality(i.keys) - 1] = i.keys), false) AS is_sorted,
       COALESCE(bool_or(i.columns[0:cardinality(i.keys) - 1] = i.keys
                        AND NOT EXISTS (SELECT FROM unnest(i.collations[0:cardinality(i.keys) - 1]) c WHERE c NOT IN (0, 950, 951))),
                false) AS is_sorted_by_bytes
  FROM i
