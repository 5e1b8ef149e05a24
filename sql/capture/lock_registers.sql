-- Purpose: nobody adds a definition while we look whether any is left.
-- Locks: ACCESS EXCLUSIVE on both registers, waited for as long as lock_timeout says. Repeat: yes.
LOCK TABLE lfk.definition, lfk.peer IN ACCESS EXCLUSIVE MODE
