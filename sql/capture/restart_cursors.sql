-- Purpose: sends the cursors of a changed definition to the start of the log, and fences whoever held them. $1 definition.
--   Under the ring lock.
-- Locks: the cursor rows. Index: none, few rows. Repeat: yes.
UPDATE lfk.cursor c
   SET table_id = d.table_id, prev = '1:1:', prev_at = '-infinity', cur = NULL, cur_at = NULL, pos_xid = '0', pos_id = 0,
       token = c.token + 1, owner = NULL, lease_until = '-infinity', observed_keys = 0, seq = c.seq + 1,
       stamp = pg_current_xact_id()
  FROM lfk.definition d
 WHERE d.name = $1 AND c.definition = d.name
