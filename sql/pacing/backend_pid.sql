-- Purpose: which backend this transaction has, and when the transaction began (in microseconds since 1970), so that what it runs,
--   and nothing after it, can be cancelled from another connection.
-- Locks: none. Repeat: only reads.
SELECT pg_catalog.pg_backend_pid() AS pid,
       (extract(epoch FROM pg_catalog.transaction_timestamp()) OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8 AS xact_start
