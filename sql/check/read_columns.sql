-- Purpose: some columns of a table as a mirror needs them: types down to what a domain is made of, collations, rights.
--   $1 the table as SQL names it, $2 the columns' names. No row at all: there is no such table.
--   The locale of an ICU collation is read by name from the row as JSON: its column is called differently in 15 and 17.
-- Locks: catalogs only. Index: pg_attribute_relid_attnam_index. Repeat: only reads.
WITH RECURSIVE r AS MATERIALIZED (
  SELECT c.oid, c.relkind FROM pg_class c WHERE c.oid = to_regclass($1)
), a AS MATERIALIZED (
  SELECT a.* FROM r JOIN pg_attribute a ON a.attrelid = r.oid
   WHERE a.attname::text = ANY ($2::text[]) AND a.attnum > 0 AND NOT a.attisdropped
), base (attnum, typid, typmod) AS (
  SELECT a.attnum, a.atttypid, a.atttypmod FROM a
  UNION ALL
  SELECT b.attnum, y.typbasetype, CASE WHEN y.typtypmod >= 0 THEN y.typtypmod ELSE b.typmod END
    FROM base b JOIN pg_type y ON y.oid = b.typid WHERE y.typtype = 'd'
), server AS (
  SELECT getdatabaseencoding()::text AS encoding, d.datlocprovider AS provider, d.datcollate::text AS collate,
         COALESCE(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale') AS locale, to_jsonb(d) ->> 'daticurules' AS rules,
         pg_database_collation_actual_version(d.oid) AS version
    FROM pg_database d WHERE d.datname = current_database()
)
SELECT r.oid::int8 AS table_id, r.relkind::text AS table_kind, a.attname::text AS name,
       format_type(a.atttypid, a.atttypmod) AS declared,
       (SELECT quote_ident(n.nspname) || '.' || quote_ident(y.typname)
          FROM pg_type y JOIN pg_namespace n ON n.oid = y.typnamespace WHERE y.oid = a.atttypid) AS own_type,
       y.typname::text AS base, format_type(b.typid, b.typmod) AS base_declared, b.typmod >= 0 AS has_modifier,
       y.oid < 16384 AND n.nspname = 'pg_catalog' AND y.typtype IN ('b', 'r', 'm')
         AND (y.typcategory <> 'A' OR e.typtype = 'b') AS built_in,
       CASE WHEN y.typcategory = 'A' THEN e.typname::text END AS element,
       (SELECT p.proname::text FROM pg_proc p WHERE p.oid = y.typsend AND p.pronamespace = 'pg_catalog'::regnamespace) AS send,
       a.attnotnull AS not_null, COALESCE(l.collisdeterministic, true) AS deterministic,
       CASE WHEN l.collname <> 'default' THEN quote_ident(ln.nspname) || '.' || quote_ident(l.collname) END AS collation,
       has_column_privilege(r.oid, a.attnum, 'SELECT') AS may_select,
       CASE WHEN l.oid IS NULL THEN NULL
            WHEN l.collprovider = 'd' AND s.provider = 'c' AND s.collate IN ('C', 'POSIX') THEN concat_ws(' ', 'C', s.encoding)
            WHEN l.collprovider = 'd' THEN concat_ws(' ', s.provider, COALESCE(s.locale, s.collate), s.rules, s.version, s.encoding)
            WHEN l.collcollate::text IN ('C', 'POSIX') THEN concat_ws(' ', 'C', s.encoding)
            ELSE concat_ws(' ', l.collprovider, COALESCE(j.body ->> 'colllocale', j.body ->> 'colliculocale', l.collcollate::text),
                           j.body ->> 'collicurules', pg_collation_actual_version(l.oid), s.encoding) END AS sorted
  FROM r CROSS JOIN server s
  LEFT JOIN a ON true
  LEFT JOIN (base b JOIN pg_type y ON y.oid = b.typid AND y.typtype <> 'd' JOIN pg_namespace n ON n.oid = y.typnamespace)
    ON b.attnum = a.attnum
  LEFT JOIN pg_type e ON e.oid = y.typelem
  LEFT JOIN (pg_collation l JOIN pg_namespace ln ON ln.oid = l.collnamespace) ON l.oid = a.attcollation
  LEFT JOIN LATERAL (SELECT to_jsonb(l) AS body) j ON true
