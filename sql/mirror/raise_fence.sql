-- Purpose: keeps every writer with an older token out of the target, for good. A statement of its own, committed before the
--   first read of the source: raised together with a write, the write's snapshot would be older than the wait for the lock,
--   and a row that the old writer commits meanwhile would stay. $1 mirror, $2 identity of the source's database, $3 token,
--   $4 the target. 0 rows: a newer writer has been here.
-- Locks: the fence row; waits for writers that hold it. Index: primary key. Repeat: 0 rows once it is raised.
INSERT INTO lfk.mirror_fence AS f (mirror, source_identity, token, target) VALUES ($1, $2, $3, $4::text::regclass)
ON CONFLICT (mirror, source_identity) DO UPDATE SET token = excluded.token, target = excluded.target, raised_at = clock_timestamp()
 WHERE f.token < excluded.token
RETURNING f.token
