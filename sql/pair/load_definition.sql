-- Purpose: what the parent's database knows about a definition. $1 name.
-- Locks: ACCESS SHARE. Index: primary keys. Repeat: only reads.
SELECT d.fingerprint, d.child_identity, t.key_types, i.id AS identity
  FROM lfk.definition d JOIN lfk.tracked t USING (table_id) CROSS JOIN lfk.identity i
 WHERE d.name = $1
