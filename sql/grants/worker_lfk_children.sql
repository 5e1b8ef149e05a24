-- Purpose: what the worker does with schema lfk where children live, in the printed script: asks which database this is, and
--   exchanges a number with it.
-- Locks: none that anybody waits for. Repeat: yes.
GRANT USAGE ON SCHEMA lfk TO "{role}";
GRANT SELECT ON lfk.identity, lfk.peer TO "{role}";
GRANT UPDATE (nonce) ON lfk.peer TO "{role}";
