-- Purpose: ends a transaction that nobody needs any more, also one in which a statement failed.
-- Locks: gives back all. Index: none. Repeat: a warning.
-- Why these: sent by ourselves, so that the answer is waited for only so long.
ROLLBACK
