-- Purpose: holds the cursors of a definition, so that no worker moves one between the check and the rewind. $1 definition.
-- Locks: the cursor rows. Index: none, few rows. Repeat: yes.
SELECT c.consumer FROM lfk.cursor c WHERE c.definition = $1 ORDER BY c.consumer FOR UPDATE
