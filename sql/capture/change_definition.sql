-- Purpose: another definition under the same name: back to observe. $1 name, $2 table_id, $3 parent, $4 child, $5 action,
--   $6 fingerprint, $7 identity of the child's database, $8 nonce of its new partner (NULL: the partner is the same), $9 kind.
-- Locks: the row. Index: primary key. Repeat: yes.
UPDATE lfk.definition
   SET kind = $9, table_id = $2, parent = $3, child = $4, on_delete = $5, fingerprint = $6, child_identity = $7,
       nonce = coalesce($8, nonce), next_nonce = CASE WHEN $8 IS NULL THEN next_nonce END,
       state = 'observe', state_changed_at = clock_timestamp(), condition = 'ok', note = NULL, noted_at = NULL
 WHERE name = $1
