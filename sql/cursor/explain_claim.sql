-- Purpose: says why a claim returned nothing. $1 consumer.
-- Locks: ACCESS SHARE. Index: primary key. Repeat: only reads.
SELECT c.lease_until >= clock_timestamp() AS leased,
       c.xmin::text::bigint <> (c.stamp::text::bigint & 4294967295) AS foreign_row,
       pg_snapshot_xmax(c.prev) > pg_snapshot_xmax(pg_current_snapshot()) AS counter_went_back
  FROM lfk.cursor c WHERE c.consumer = $1
