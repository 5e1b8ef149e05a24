-- Purpose: opens a window: everything committed since the last one, as the server sees it in this very statement.
--   $1 consumer, $2 token, $3 owner.
-- Must be the first statement of its transaction that writes: a transaction that already has an xid would count itself as
--   seen, and what it logs afterwards would be lost. The snapshot never travels through a client.
-- Locks: the cursor row. Index: primary key. Repeat: an open window stays as it is (0 rows).
UPDATE lfk.cursor
   SET cur = pg_current_snapshot(), cur_at = clock_timestamp(), pos_xid = '0', pos_id = 0,
       seq = seq + 1, stamp = pg_current_xact_id()
 WHERE consumer = $1 AND token = $2 AND owner = $3 AND cur IS NULL
   AND pg_snapshot_xmax(prev) <= pg_snapshot_xmax(pg_current_snapshot())
