-- Purpose: removes triggers of one relation of a retiring table, or at last its functions. $1 table_id. False: repeat.
-- Locks: see lfk.untrack. Repeat: yes.
SELECT lfk.untrack($1, 1)
