-- Purpose: tables whose triggers are still to be removed.
-- Locks: ACCESS SHARE. Index: none, few rows. Repeat: only reads.
SELECT table_id, relation::text FROM lfk.tracked WHERE retiring ORDER BY table_id
