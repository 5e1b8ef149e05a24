-- Purpose: how high the fence of a mirror is, and which table it was raised for. $1 mirror, $2 identity of the source's database,
--   $3 the target. No row: nobody has written yet. another: a table of that name was written before, and it is not this one.
-- Locks: ACCESS SHARE. Index: primary key. Repeat: only reads.
SELECT f.token, coalesce(f.target <> $3::text::regclass::oid, false) AS another
  FROM lfk.mirror_fence f WHERE f.mirror = $1 AND f.source_identity = $2
