-- Purpose: has the keys of a table logged. $1 table, quoted and qualified, $2 key columns.
-- Locks: see lfk.track. Repeat: yes.
SELECT lfk.track($1::text::regclass, $2)
