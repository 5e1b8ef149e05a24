-- Purpose: whether rows that are read here may be behind: those of a standby are never written anywhere.
-- Locks: none. Index: none. Repeat: only reads. In the transaction that reads the rows.
SELECT pg_catalog.pg_is_in_recovery()
