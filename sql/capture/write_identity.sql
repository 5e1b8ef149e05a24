-- Purpose: says which database this is, or that its schema has a newer version now. $1 schema version, $2 cluster.
--   Never in a savepoint: the row's xmin would be the savepoint's, and the row would look like a copy.
-- Locks: the only row. Index: primary key. Repeat: keeps the id.
INSERT INTO lfk.identity AS i (database_oid, system_identifier, schema_version)
SELECT d.oid::bigint, $2, $1 FROM pg_database d WHERE d.datname = current_database()
ON CONFLICT (only_row) DO UPDATE SET schema_version = excluded.schema_version, stamp = pg_current_xact_id()
