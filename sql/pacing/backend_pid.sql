-- Purpose: which backend this transaction has, so that it can be cancelled from another connection.
-- Locks: none. Repeat: only reads.
SELECT pg_catalog.pg_backend_pid()::pg_catalog.int8 AS pid
