-- Purpose: what the parent's database knows about a definition. $1 name, $2 the parent's table, quoted.
--   swapped: the name leads to another table than the one whose changes are logged. A name that leads nowhere is no matter here.
-- Locks: ACCESS SHARE. Index: primary keys. Repeat: only reads.
SELECT d.fingerprint, d.child_identity, t.key_types, i.id AS identity,
       coalesce(to_regclass($2) <> t.relation, false) AS swapped
  FROM lfk.definition d JOIN lfk.tracked t USING (table_id) CROSS JOIN lfk.identity i
 WHERE d.name = $1
