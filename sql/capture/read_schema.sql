-- Purpose: how much of schema lfk is there. complete: the last object of the last schema file is.
-- Locks: ACCESS SHARE on catalogs. Index: by name. Repeat: only reads.
SELECT to_regclass('lfk.identity') IS NOT NULL AS begun,
       to_regprocedure('lfk.assert_drained(text)') IS NOT NULL AS complete
