-- Purpose: statistics, hint bits and the visibility map as on a table that has been there for long. Repeat: harmless.
VACUUM (ANALYZE, FREEZE)
