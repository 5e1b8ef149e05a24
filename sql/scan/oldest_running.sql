-- Purpose: below which number every transaction of this cluster has ended, in whichever database, prepared ones included.
--   Of a transaction that has no number itself.
-- Locks: none. Index: none. Repeat: only reads.
SELECT pg_snapshot_xmin(pg_current_snapshot())::text AS xmin
