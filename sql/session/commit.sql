-- Purpose: ends a transaction for good.
-- Locks: gives back all. Index: none. Repeat: a warning. When its answer is lost, nobody knows whether it was carried out: everything
--   that lfk commits may be done once more.
-- Why these: sent by ourselves, so that the answer is waited for only so long.
COMMIT
