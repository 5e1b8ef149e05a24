-- Purpose: rows that are written from now on have this transaction number or a later one. A savepoint's number is not in a
--   snapshot, but always behind that of its transaction: so the oldest one counts that is still open.
--   next: where numbers stand now; the same again, and nobody has begun to write in between.
-- Locks: none. Index: none. Repeat: only reads.
SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS oldest, pg_snapshot_xmax(pg_current_snapshot())::text AS next
