-- Purpose: ends a transaction for good.
-- Locks: gives back all. Index: none. Repeat: a warning. When its answer is lost, nobody knows whether it was carried out: everything
--   that lfk commits may be done once more.
COMMIT
