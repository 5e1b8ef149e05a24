-- Purpose: a transaction number that every transaction running now is below. A parent inserted before its child was
--   committed has a smaller one, if it is still running. In a transaction of its own.
-- Locks: none. Index: none. Repeat: gives another one.
SELECT pg_current_xact_id()::text AS xid
