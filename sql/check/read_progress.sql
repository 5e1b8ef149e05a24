-- Purpose: how far the sync has come: which of some snapshots it has passed. $1 consumer, $2 snapshots.
--   Passed: nothing that the snapshot sees is unread. xmax alone says too much while a writer that it sees is still unread.
-- Locks: ACCESS SHARE. Index: primary key. Repeat: only reads.
SELECT s.ord, c.seq, extract(epoch FROM clock_timestamp() - c.prev_at)::float8 AS lag,
       pg_snapshot_xmax(c.prev) >= pg_snapshot_xmax(s.snap::pg_snapshot)
       AND NOT EXISTS (SELECT FROM pg_snapshot_xip(c.prev) x WHERE pg_visible_in_snapshot(x, s.snap::pg_snapshot)) AS covered
  FROM lfk.cursor c, unnest($2::text[]) WITH ORDINALITY AS s(snap, ord) WHERE c.consumer = $1
