-- Purpose: which database this is, and whether its identity row was written here: a copy carries the row along, but has
--   another oid, or (dump and restore) a row whose xmin is not its stamp.
-- Locks: ACCESS SHARE. Index: none needed, one row. Repeat: only reads.
SELECT i.id, i.schema_version,
       i.database_oid = d.oid::bigint AS same_oid,
       i.xmin::text::bigint = (i.stamp::text::bigint & 4294967295) AS written_here
  FROM lfk.identity i CROSS JOIN pg_database d
 WHERE d.datname = current_database()
