-- Purpose: the child's side of a pair speaks of another child now. $1 definition, $2 identity of the parent's database,
--   $3 child.
-- Locks: the row. Index: primary key. Repeat: yes.
UPDATE lfk.peer SET child = $3 WHERE definition = $1 AND parent_identity = $2
