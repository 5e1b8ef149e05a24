-- Purpose: keeps the rows that a repair is about to change or delete, whole, as they were. Binds: the key columns, each a text[],
--   then the mirror and the identity of the source's database.
-- Locks: the rows. Index: the target's key. Repeat: keeps them once more. In the transaction of the repair.
INSERT INTO lfk.before_image (mirror, source_identity, row)
SELECT $"{mirror}"::pg_catalog.text, $"{identity}"::pg_catalog.uuid, pg_catalog.to_jsonb(target)
  FROM "{target}" AS target, ROWS FROM ("{keys}") AS lfk_key("{names}") WHERE "{match}" FOR UPDATE OF target
