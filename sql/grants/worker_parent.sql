-- Purpose: lets the worker ask which parents are still there, in the printed script.
-- Locks: none that anybody waits for. Repeat: yes.
GRANT USAGE ON SCHEMA "{schema}" TO "{role}";
GRANT SELECT ("{columns}") ON TABLE "{table}" TO "{role}";
