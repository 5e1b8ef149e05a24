-- Purpose: says why a definition does not get on, or that it does again. Writes only what changed.
--   $1 definition, $2 condition, $3 note.
-- Locks: the definition row. Index: primary key. Repeat: 0 rows.
UPDATE lfk.definition SET condition = $2, note = $3, noted_at = clock_timestamp()
 WHERE name = $1 AND (condition, note) IS DISTINCT FROM ($2, $3)
