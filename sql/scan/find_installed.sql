-- Purpose: what is installed under a name, and whether the kill switch is on. $1 name.
-- Locks: ACCESS SHARE. Index: primary keys. Repeat: only reads.
SELECT k.stopped, d.state, d.fingerprint, d.child_identity
  FROM lfk.control k LEFT JOIN lfk.definition d ON d.name = $1
