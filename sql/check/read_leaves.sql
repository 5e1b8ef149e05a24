-- Purpose: the leaves of a table, by their numbers, as they are read in physical order: its partitions or children, itself if it
--   holds rows. $1 the table as SQL names it, $2 the first column of its key. No row at all: there is no such table.
--   version: what changes when all rows of the leaf move, as by VACUUM FULL, CLUSTER or TRUNCATE. correlation: how far rows lie
--   in the order of that column, from -1 to 1; NULL: not known. readable: in heap pages, by this role, without row-level
--   policies; rights on a table are none on its partitions, whose rows are read under their own names here.
-- Locks: catalogs only. Index: of the catalogs. Repeat: only reads.
WITH RECURSIVE t (oid) AS (
  SELECT to_regclass($1)::oid
   UNION SELECT i.inhrelid FROM t JOIN pg_inherits i ON i.inhparent = t.oid WHERE NOT i.inhdetachpending
)
SELECT c.oid::int8 AS leaf, n.nspname::text AS schema, c.relname::text AS name,
       concat_ws(' ', c.oid, pg_relation_filenode(c.oid), n.nspname, c.relname) AS version,
       COALESCE(pg_relation_size(c.oid) / current_setting('block_size')::int8, 0) AS pages,
       greatest(c.reltuples, 0)::float8 AS rows, s.correlation::float8 AS correlation,
       c.relkind = 'r' AND COALESCE(m.amname = 'heap', false)
         AND (c.oid = to_regclass($1)::oid
              OR has_schema_privilege(n.oid, 'USAGE') AND has_table_privilege(c.oid, 'SELECT') AND NOT row_security_active(c.oid))
         AS readable
  FROM t JOIN pg_class c ON c.oid = t.oid JOIN pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN pg_am m ON m.oid = c.relam
  LEFT JOIN pg_stats s ON s.schemaname = n.nspname AND s.tablename = c.relname AND s.attname = $2 AND NOT s.inherited
 WHERE c.relkind <> 'p' ORDER BY c.oid
