-- Purpose: what decides how one leaf of a child is walked: its statistics, and its own key, by which it can be read in pages
--   where no index leads to the child columns. $1 qualified name, quoted; $2 the child's columns.
--   distinct_keys: as ANALYZE saw them, of several columns that with the most; NULL: unknown. Only types and operators of
--   pg_catalog can make a page's border, because the search path is that.
-- Locks: catalogs only. Index: of the catalogs. Repeat: only reads.
SELECT c.relpages::float8 AS pages, c.relallvisible::float8 AS all_visible, c.reltuples::float8 AS rows,
       (SELECT max(CASE WHEN s.n_distinct < 0 THEN -s.n_distinct * c.reltuples ELSE s.n_distinct END)
          FROM pg_stats s JOIN pg_namespace n ON n.nspname = s.schemaname
         WHERE n.oid = c.relnamespace AND s.tablename = c.relname AND s.attname = ANY ($2::text[]) AND NOT s.inherited)::float8
         AS distinct_keys,
       k.columns, k.types
  FROM pg_class c
  LEFT JOIN LATERAL (
    SELECT array_agg(a.attname::text ORDER BY p.at) AS columns, array_agg(format_type(a.atttypid, -1) ORDER BY p.at) AS types
      FROM pg_index i CROSS JOIN generate_series(0, i.indnkeyatts::int4 - 1) AS p(at)
      JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = i.indkey[p.at] AND NOT a.attisdropped
      JOIN pg_type t ON t.oid = a.atttypid
      JOIN pg_opclass o ON o.oid = i.indclass[p.at]
     WHERE i.indrelid = c.oid AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL
     GROUP BY i.indexrelid, i.indisprimary
    HAVING bool_and(a.attnotnull AND t.typnamespace = 'pg_catalog'::regnamespace AND o.opcdefault
                    AND i.indcollation[p.at] = a.attcollation)
     ORDER BY i.indisprimary DESC, count(*), i.indexrelid LIMIT 1) k ON true
 WHERE c.oid = to_regclass($1)
