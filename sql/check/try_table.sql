-- Purpose: an empty table with the columns of the source, in a transaction that is rolled back.
-- Locks: ACCESS SHARE on the source. Index: none. Repeat: it never stays.
CREATE TEMPORARY TABLE lfk_try (LIKE "{source}")
