-- Purpose: forgets the child's side of a pair. $1 definition, $2 identity of the parent's database, $3 the nonces that the
--   parent's side knows (NULL: it has no definition, so the row is the rest of an unfinished installation). A physical copy
--   of the parent's database has an old nonce: the row belongs to the pair that went on working.
-- Locks: the row. Index: primary key. Repeat: 0 rows.
DELETE FROM lfk.peer WHERE definition = $1 AND parent_identity = $2 AND ($3::uuid[] IS NULL OR nonce = ANY ($3::uuid[]))
