-- Purpose: takes back what the worker got on the target of a mirror, in the printed script.
-- Locks: none that anybody waits for. Repeat: yes.
REVOKE SELECT, DELETE, INSERT ("{inserted}"), UPDATE ("{updated}") ON TABLE "{table}" FROM "{role}";
