-- Purpose: makes a definition, observing. $1 name, $2 table_id, $3 parent, $4 child, $5 action, $6 fingerprint, $7 identity
--   of the child's database, $8 nonce, $9 kind. 0 rows: it exists, or its table is being removed at this moment.
-- Locks: the new row; the tracked row against removal. Index: primary keys. Repeat: 0 rows.
INSERT INTO lfk.definition (name, table_id, parent, child, on_delete, fingerprint, child_identity, nonce, kind)
SELECT $1, t.table_id, $3, $4, $5, $6, $7, $8, $9 FROM lfk.tracked t WHERE t.table_id = $2 AND NOT t.retiring FOR KEY SHARE
ON CONFLICT DO NOTHING
