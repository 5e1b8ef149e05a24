-- Purpose: what is installed under a name. $1 name.
-- Locks: ACCESS SHARE. Index: primary keys. Repeat: only reads.
SELECT d.table_id, d.fingerprint, d.child_identity, d.state, d.parent, d.child, d.nonce
  FROM lfk.definition d WHERE d.name = $1
