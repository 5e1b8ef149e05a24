-- Purpose: the id of this database, and whether it is a copy that carries another one's row along. For uninstalling, which
--   must work in a copy too.
-- Locks: ACCESS SHARE. Index: none needed, one row. Repeat: only reads.
SELECT i.id, i.database_oid <> d.oid::bigint OR i.xmin::text::bigint <> (i.stamp::text::bigint & 4294967295) AS is_copy
  FROM lfk.identity i CROSS JOIN pg_database d WHERE d.datname = current_database()
