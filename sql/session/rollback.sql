-- Purpose: ends a transaction that nobody needs any more, also one in which a statement failed.
-- Locks: gives back all. Index: none. Repeat: a warning.
ROLLBACK
