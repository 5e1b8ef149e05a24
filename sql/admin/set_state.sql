-- Purpose: gives a definition a state, unless somebody changed it meanwhile. $1 name, $2 state, $3 state it had.
-- Locks: the definition row. Index: primary key. Repeat: 0 rows.
UPDATE lfk.definition SET state = $2, state_changed_at = clock_timestamp(), condition = 'ok', note = NULL
 WHERE name = $1 AND state = $3
