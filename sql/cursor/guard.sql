-- Purpose: read before every batch: whether the lease is still ours, and what the definition may do now.
--   $1 consumer, $2 token, $3 owner. No row: the lease went to another worker.
-- Locks: ACCESS SHARE. Index: primary keys. Repeat: only reads.
SELECT d.state, k.stopped
  FROM lfk.cursor c JOIN lfk.definition d ON d.name = c.definition CROSS JOIN lfk.control k
 WHERE c.consumer = $1 AND c.token = $2 AND c.owner = $3
