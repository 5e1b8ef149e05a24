-- Purpose: whether a column's values may be assigned to a type without an explicit cast, element by element for arrays.
--   $1 the table's oid, $2 the column, $3 the type.
-- Locks: catalogs only. Index: pg_cast_source_target_index. Repeat: only reads.
WITH RECURSIVE s (typid) AS (
  SELECT a.atttypid FROM pg_attribute a WHERE a.attrelid = $1::int8::oid AND a.attname::text = $2 AND a.attnum > 0
  UNION ALL
  SELECT y.typbasetype FROM s JOIN pg_type y ON y.oid = s.typid WHERE y.typtype = 'd'
), pair AS (
  SELECT CASE WHEN y.typcategory = 'A' AND w.typcategory = 'A' THEN y.typelem ELSE y.oid END AS have,
         CASE WHEN y.typcategory = 'A' AND w.typcategory = 'A' THEN w.typelem ELSE w.oid END AS want
    FROM s JOIN pg_type y ON y.oid = s.typid AND y.typtype <> 'd' JOIN pg_type w ON w.oid = to_regtype($3)
)
SELECT COALESCE(bool_or(p.have = p.want OR w.typcategory = 'S' OR EXISTS (
         SELECT FROM pg_cast c WHERE c.castsource = p.have AND c.casttarget = p.want AND c.castcontext IN ('i', 'a'))), false)
       AS assignable
  FROM pair p JOIN pg_type w ON w.oid = p.want
