-- Purpose: the call of lfk.track for the source of a mirror, in the printed script.
-- Locks: see lfk.track. Repeat: yes.
SELECT lfk.track('{table}', '{columns}', '{mirror}', '{watched}', '{mentioned}');
