-- Purpose: lfk.tree: a table with everything below it, partitions and inheritance children of every level.
-- Locks: none but ACCESS SHARE on catalogs. Index: pg_inherits by parent. Repeat: only reads.
CREATE OR REPLACE FUNCTION lfk.tree(root oid)
RETURNS TABLE (relation oid, path oid[]) LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp AS $tree$
  WITH RECURSIVE w(relation, path) AS (
    SELECT root, ARRAY[]::oid[]
    UNION ALL
    SELECT i.inhrelid, w.path || w.relation FROM w JOIN pg_inherits i ON i.inhparent = w.relation
  )
  -- With several inheritance parents a child is reached on several paths; all its ancestors count.
  SELECT w.relation, array_agg(DISTINCT a.oid) FILTER (WHERE a.oid IS NOT NULL) FROM w LEFT JOIN unnest(w.path) AS a(oid) ON true GROUP BY w.relation
$tree$;
REVOKE ALL ON FUNCTION lfk.tree(oid) FROM PUBLIC;
COMMENT ON FUNCTION lfk.tree(oid) IS 'A table and everything below it, each with its ancestors up to that table.';
