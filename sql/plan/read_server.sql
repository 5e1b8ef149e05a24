-- Purpose: what matters of the server, the session and schema lfk for one end of a definition. $1 the table's schema.
-- Locks: catalogs only. Index: pg_namespace_nspname_index. Repeat: only reads.
SELECT current_setting('server_version_num')::int8 AS version,
       pg_is_in_recovery() AS in_recovery,
       quote_ident(current_user::text) AS role,
       current_setting('session_replication_role') AS replication_role,
       has_database_privilege(current_database(), 'CREATE') AS may_create_schema,
       quote_ident(current_database()::text) AS database,
       (SELECT has_schema_privilege(l.oid, 'CREATE') FROM pg_namespace l WHERE l.nspname = 'lfk') AS may_create_in_lfk,
       (SELECT has_schema_privilege(s.oid, 'USAGE') FROM pg_namespace s WHERE s.nspname = $1::name) AS may_use_schema
