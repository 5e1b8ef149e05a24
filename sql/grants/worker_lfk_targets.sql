-- Purpose: what the worker does with schema lfk where targets of mirrors live, in the printed script: keeps older writers out,
--   and keeps rows as they were before a repair. It cannot read or change what was kept, and has it removed only
--   once it is a day old.
-- Locks: none that anybody waits for. Repeat: yes.
GRANT SELECT, INSERT, UPDATE ON lfk.mirror_fence TO "{role}";
GRANT INSERT ON lfk.before_image TO "{role}";
GRANT EXECUTE ON FUNCTION lfk.prune_before(text, uuid, interval, integer) TO "{role}";
