-- Purpose: whether nothing is installed here any more, and whether every trigger is gone. After lock_registers.
-- Locks: ACCESS SHARE. Index: none needed. Repeat: only reads.
SELECT NOT EXISTS (SELECT FROM lfk.definition) AND NOT EXISTS (SELECT FROM lfk.peer) AS unused,
       NOT EXISTS (SELECT FROM lfk.tracked) AS bare
