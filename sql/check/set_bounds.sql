-- Purpose: how many rows the COPY of this transaction reads ($1), behind which key ($2), and up to which one ($3). As literals
--   they would stand in the server's log, and each COPY would be another statement to pg_stat_statements.
-- Locks: none. Index: none. Repeat: it ends with the transaction.
SELECT set_config('lfk.rows', $1::int8::text, true), set_config('lfk.behind', COALESCE($2::text[]::text, ''), true),
       set_config('lfk.up_to', COALESCE($3::text[]::text, ''), true)
