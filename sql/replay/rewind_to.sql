-- Purpose: sends the cursors of a definition, both at once, back to the newest tick at or before a time, or to the start of the log
--   where there is none so old; and fences whoever held them. $1 definition, $2 the time as seconds since 1970.
--   Never forward: a cursor that has not come so far stays where it is, but goes back to the start of its open window, in which it
--   may have passed keys of later.
--   After find_start has said that the log has all of it, under the locks of ring and cursors.
-- Locks: the cursor rows. Index: tick_pkey; of the cursors none, few rows. Repeat: yes.
UPDATE lfk.cursor c
   SET prev = CASE WHEN g.stays THEN c.prev ELSE g.snap END, prev_at = CASE WHEN g.stays THEN c.prev_at ELSE g.at END,
       cur = NULL, cur_at = NULL, pos_xid = '0', pos_id = 0, token = c.token + 1, owner = NULL, lease_until = '-infinity',
       seq = c.seq + 1, stamp = pg_current_xact_id()
  FROM (SELECT o.consumer, k.at, k.snap, o.prev_at <= to_timestamp($2::float8) OR NOT lfk.includes(o.prev, k.snap) AS stays
          FROM lfk.cursor o
         CROSS JOIN (SELECT t.at, t.snap FROM lfk.tick t WHERE t.at <= to_timestamp($2::float8)
                     UNION ALL
                     SELECT '-infinity', '1:1:'
                      ORDER BY 1 DESC LIMIT 1) k
         WHERE o.definition = $1) g
 WHERE c.consumer = g.consumer
