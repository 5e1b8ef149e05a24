-- Purpose: the call of lfk.cover in the printed script.
-- Locks: see lfk.cover. Repeat: until nothing is created or locked.
SELECT * FROM lfk.cover();
