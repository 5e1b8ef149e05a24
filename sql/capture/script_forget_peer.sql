-- Purpose: the child's side of a definition, in the printed script.
-- Locks: the row. Index: none, few rows. Repeat: yes.
DELETE FROM lfk.peer WHERE definition = '{name}' AND child = '{child}';
