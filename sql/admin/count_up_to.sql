-- Purpose: how many rows of the log lfk.health counts for each definition, in this transaction. $1 rows.
-- Locks: none. Index: none. Repeat: yes.
SELECT set_config('lfk.count_rows', $1::int8::text, true)
