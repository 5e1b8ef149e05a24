-- Purpose: sends the cursors of a definition back to the start of what the log keeps, and fences whoever held it. What is observed
--   from here on is counted anew: a key counts once, however often its definition observes. $1 definition.
-- Locks: the cursor rows. Index: primary key. Repeat: yes.
UPDATE lfk.cursor
   SET prev = '1:1:', prev_at = '-infinity', cur = NULL, cur_at = NULL, pos_xid = '0', pos_id = 0, token = token + 1,
       owner = NULL, lease_until = '-infinity', observed_keys = 0, seq = seq + 1, stamp = pg_current_xact_id()
 WHERE definition = $1
