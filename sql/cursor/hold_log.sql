-- Purpose: holds the shape of the log for the rest of the transaction, before a statement that reads it is planned. A plan that
--   was made while a missing leaf was being restored does not have that leaf, and its snapshot is taken after the rows have
--   moved there: it would see nothing, and the cursor would move past them.
-- Locks: ACCESS SHARE on the log and its leaves. Index: none. Repeat: yes.
LOCK TABLE lfk.key_log IN ACCESS SHARE MODE
