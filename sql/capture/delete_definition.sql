-- Purpose: forgets a definition with its cursors and retries. $1 name.
-- Locks: the rows. Index: primary key. Repeat: 0 rows.
DELETE FROM lfk.definition WHERE name = $1 RETURNING table_id
