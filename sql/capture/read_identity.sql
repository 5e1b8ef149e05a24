-- Purpose: the id of this database, whatever became of it since. For uninstalling, which must work in a copy too.
-- Locks: ACCESS SHARE. Index: none needed, one row. Repeat: only reads.
SELECT id FROM lfk.identity
