-- Purpose: what matters of the server, the session and schema lfk for one end of a definition. $1 the table's schema.
-- Locks: catalogs only. Index: pg_namespace_nspname_index. Repeat: only reads.
SELECT current_setting('server_version_num')::int8 AS version,
       pg_is_in_recovery() AS in_recovery,
       quote_ident(current_user::text) AS role,
       current_setting('session_replication_role') AS replication_role,
       has_database_privilege(current_database(), 'CREATE') AS may_create_schema,
       quote_ident(current_database()::text) AS database,
       (SELECT has_schema_privilege(l.oid, 'CREATE') FROM pg_namespace l WHERE l.nspname = 'lfk') AS may_create_in_lfk,
       coalesce((SELECT has_schema_privilege(l.oid, 'USAGE') FROM pg_namespace l WHERE l.nspname = 'lfk'), false) AS may_use_lfk,
       (SELECT bool_and(has_table_privilege(c.oid, r.privilege))
          FROM (VALUES ('identity', 'SELECT'), ('definition', 'SELECT'), ('key_log', 'SELECT'), ('key_log', 'TRUNCATE'),
                       ('cursor', 'SELECT'), ('cursor', 'UPDATE'), ('retry', 'INSERT'), ('retry', 'UPDATE'), ('retry', 'DELETE'),
                       ('sweep', 'INSERT'), ('sweep', 'UPDATE'), ('worker', 'INSERT'), ('tick', 'INSERT')) r(name, privilege)
          JOIN pg_class c ON c.relname = r.name AND c.relkind IN ('r', 'p')
          JOIN pg_namespace l ON l.oid = c.relnamespace AND l.nspname = 'lfk') AS may_read_log,
       (SELECT bool_and(has_table_privilege(c.oid, 'SELECT') AND (c.relname = 'identity' OR has_any_column_privilege(c.oid, 'UPDATE')))
          FROM pg_class c JOIN pg_namespace l ON l.oid = c.relnamespace AND l.nspname = 'lfk'
         WHERE c.relname IN ('identity', 'peer') AND c.relkind = 'r') AS may_answer_peers,
       (SELECT has_schema_privilege(s.oid, 'USAGE') FROM pg_namespace s WHERE s.nspname = $1::name) AS may_use_schema
