-- Purpose: takes a lock that only another transaction in the very same database can see. $1 a random number.
-- Locks: one advisory lock of this transaction. Repeat: yes.
SELECT pg_try_advisory_xact_lock($1) AS taken
