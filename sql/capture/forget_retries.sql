-- Purpose: keys that were set aside for what the definition was before. The log still holds them. $1 definition.
-- Locks: the rows. Index: retry's primary key. Repeat: 0 rows.
DELETE FROM lfk.retry r USING lfk.cursor c WHERE c.definition = $1 AND r.consumer = c.consumer
