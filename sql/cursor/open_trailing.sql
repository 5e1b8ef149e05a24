-- Purpose: opens the window of a trailing cursor: up to the newest tick that is older than settle. A tick ties a time to a
--   snapshot, so everything in the window was committed at least settle ago; no column of the log says that.
--   $1 consumer, $2 token, $3 owner.
-- Locks: the cursor row. Index: primary key, tick_pkey. Repeat: an open window stays as it is (0 rows).
UPDATE lfk.cursor c
   SET cur = t.snap, cur_at = t.at, pos_xid = '0', pos_id = 0, seq = c.seq + 1, stamp = pg_current_xact_id()
  FROM (SELECT k.snap, k.at
          FROM lfk.cursor o,
               LATERAL (SELECT t.snap, t.at FROM lfk.tick t
                         WHERE t.at <= clock_timestamp() - o.settle AND t.at > o.prev_at
                         ORDER BY t.at DESC LIMIT 1) k
         WHERE o.consumer = $1) t
 WHERE c.consumer = $1 AND c.token = $2 AND c.owner = $3 AND c.cur IS NULL
   AND pg_snapshot_xmax(c.prev) <= pg_snapshot_xmax(t.snap)
