-- Purpose: gives the lease back, so that another worker need not wait for its end. $1 consumer, $2 token, $3 owner.
-- Locks: the cursor row. Index: primary key. Repeat: 0 rows once another worker has it.
UPDATE lfk.cursor SET lease_until = '-infinity', owner = NULL, stamp = pg_current_xact_id()
 WHERE consumer = $1 AND token = $2 AND owner = $3
