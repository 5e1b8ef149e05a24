-- Purpose: forgets the child's side of a pair. $1 definition, $2 identity of the parent's database.
-- Locks: the row. Index: primary key. Repeat: 0 rows.
DELETE FROM lfk.peer WHERE definition = $1 AND parent_identity = $2
