-- Purpose: fails while a loose foreign key has anything left to do.
SELECT lfk.assert_drained($1)
