-- Purpose: sends the cursors of a definition to now: what the log holds is skipped. $1 definition.
-- Must be the first statement of its transaction that writes, like every statement that takes a snapshot.
-- Locks: the cursor rows. Index: primary key. Repeat: yes.
UPDATE lfk.cursor
   SET prev = pg_current_snapshot(), prev_at = clock_timestamp(), cur = NULL, cur_at = NULL, pos_xid = '0', pos_id = 0,
       token = token + 1, owner = NULL, lease_until = '-infinity', seq = seq + 1, stamp = pg_current_xact_id()
 WHERE definition = $1
