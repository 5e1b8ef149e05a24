-- Purpose: the cluster's identifier, for people who compare two databases; nothing is refused because of it alone.
-- Locks: none. Repeat: only reads.
SELECT system_identifier::text FROM pg_control_system()
