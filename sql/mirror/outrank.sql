-- Purpose: raises a token above a fence that is ahead of it. $1 consumer, $2 token, $3 owner, $4 the fence. In a transaction that
--   has proven the lease. No row: somebody else has taken over.
-- Locks: the cursor row. Index: primary key. Repeat: no row, the token is another one by then.
UPDATE lfk.cursor SET token = greatest(token, $4) + 1, stamp = pg_current_xact_id()
 WHERE consumer = $1 AND token = $2 AND owner = $3
RETURNING token
