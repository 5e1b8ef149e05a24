-- Purpose: the lock on a leaf is not waited for: a DELETE of the application might queue behind us.
-- Locks: none. Repeat: yes.
SET LOCAL lock_timeout = '20ms'
