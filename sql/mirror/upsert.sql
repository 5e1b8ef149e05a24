-- Purpose: makes the rows of the target as the source has them; writes only rows that differ in any bit, and only the columns
--   of the mirror. Binds: the key columns, then the mirrored columns, each a text[].
-- Locks: the rows written. Index: the target's key. Repeat: writes nothing.
INSERT INTO "{target}" AS target ("{columns}")
SELECT "{casts}" FROM ROWS FROM ("{arrays}") AS lfk_row("{names}")
ON CONFLICT ("{key}") DO "{resolution}"
