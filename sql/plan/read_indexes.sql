-- Purpose: the btree and hash indexes of a whole tree, column by column. $1 the tables' oids.
--   A column's `equals` lists the types that an indexed search by our operator, pg_catalog's =, may compare it with.
-- Locks: catalogs only. Index: pg_index_indrelid_index. Repeat: only reads.
SELECT i.indrelid::int8 AS table_id, n.nspname::text AS schema, c.relname::text AS name, m.amname::text AS method,
       i.indisunique AS is_unique, i.indisvalid AND i.indisready AND i.indislive AS valid,
       pg_get_expr(i.indpred, i.indrelid) AS predicate, k.columns, k.equals, k.same_collation
  FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  JOIN pg_am m ON m.oid = c.relam
 CROSS JOIN LATERAL (
  SELECT array_agg(a.attname::text ORDER BY p.at) AS columns,
         array_agg(a.attcollation = i.indcollation[p.at] ORDER BY p.at) AS same_collation,
         array_agg(array_to_string(ARRAY(
           SELECT r.typname::text FROM pg_amop s JOIN pg_operator o ON o.oid = s.amopopr JOIN pg_type r ON r.oid = s.amoprighttype
            WHERE s.amopfamily = f.opcfamily AND s.amoplefttype = f.opcintype AND s.amoppurpose = 's'
              AND o.oprname = '=' AND o.oprnamespace = 'pg_catalog'::regnamespace), ' ') ORDER BY p.at) AS equals
    FROM generate_series(0, i.indnkeyatts::int4 - 1) AS p(at)
    JOIN pg_opclass f ON f.oid = i.indclass[p.at]
    LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[p.at] AND i.indkey[p.at] > 0) k
 WHERE i.indrelid = ANY ($1::int8[]::oid[]) AND m.amname IN ('btree', 'hash')
 ORDER BY i.indrelid, c.relname
