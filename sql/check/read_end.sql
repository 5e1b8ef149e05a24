-- Purpose: which database this is, whether its identity row was written here, whether it is a primary, and how large the
--   table is estimated. $1 the table.
-- Locks: ACCESS SHARE. Index: primary keys. Repeat: only reads.
SELECT i.id::text AS id, d.oid::int8 = i.database_oid AND i.xmin::text::int8 = (i.stamp::text::int8 & 4294967295) AS written_here,
       pg_is_in_recovery() AS in_recovery,
       (SELECT coalesce(sum(greatest(l.reltuples, 0)), 0)::float8
          FROM pg_partition_tree(to_regclass($1)) t JOIN pg_class l ON l.oid = t.relid WHERE t.isleaf) +
       (SELECT coalesce(sum(greatest(l.reltuples, 0)), 0)::float8 FROM pg_class l WHERE l.oid = to_regclass($1) AND l.relkind = 'r')
         AS estimate
  FROM lfk.identity i CROSS JOIN pg_database d WHERE d.datname = current_database()
