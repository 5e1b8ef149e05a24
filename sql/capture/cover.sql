-- Purpose: makes the triggers of at most $1 relations; $2 only of this table_id, or of all (NULL).
-- Locks: see lfk.cover. Repeat: until nothing is created.
SELECT relation, outcome, coalesce(detail, '') FROM lfk.cover($1, $2)
