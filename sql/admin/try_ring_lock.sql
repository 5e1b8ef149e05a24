-- Purpose: whoever rewinds or makes a cursor, and whoever retires a leaf, holds this; nobody waits for it.
-- Locks: one advisory lock of this transaction. Repeat: yes.
SELECT pg_try_advisory_xact_lock(7813284111) AS taken
