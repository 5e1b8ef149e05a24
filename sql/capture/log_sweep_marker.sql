-- Purpose: has the definitions of a table look for orphans: its keys were not logged for a while. $1 table_id.
-- Locks: ROW EXCLUSIVE on the log. Repeat: one more sweep.
INSERT INTO lfk.key_log (table_id, op) VALUES ($1, 's')
