-- Purpose: how the key columns of a parent compare. $1 its qualified name, quoted; $2 the columns.
-- Locks: catalogs only. Index: of the catalogs. Repeat: only reads.
SELECT "{kinds}" AS kinds
