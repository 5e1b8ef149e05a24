-- Purpose: removes the rows of keys that the source does not have, or that do not pass the filter.
--   Binds: the key columns, each a text[].
-- Locks: the rows deleted. Index: the target's key. Repeat: deletes nothing.
DELETE FROM "{target}" AS target USING ROWS FROM ("{keys}") AS lfk_key("{names}") WHERE "{match}"
