-- Purpose: the call of lfk.track in the printed script.
-- Locks: see lfk.track. Repeat: yes.
SELECT lfk.track('{table}', '{columns}');
