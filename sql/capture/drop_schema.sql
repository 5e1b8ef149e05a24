-- Purpose: the last step of uninstalling. After is_unused in the same transaction.
-- Locks: ACCESS EXCLUSIVE on everything in lfk. Repeat: IF EXISTS.
DROP SCHEMA IF EXISTS lfk CASCADE
