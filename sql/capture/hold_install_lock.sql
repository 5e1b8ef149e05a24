-- Purpose: one installation of the schema at a time. Locks: one advisory lock of this transaction, waited for as long as
--   lock_timeout says. Repeat: yes.
SELECT pg_advisory_xact_lock(7813284109)
