-- Purpose: schema lfk goes with the last definition, in the printed script.
-- Locks: ACCESS EXCLUSIVE on everything in lfk. Repeat: yes.
DO $do$
BEGIN
  LOCK TABLE lfk.definition, lfk.peer IN ACCESS EXCLUSIVE MODE;
  IF NOT EXISTS (SELECT FROM lfk.definition) AND NOT EXISTS (SELECT FROM lfk.peer) AND NOT EXISTS (SELECT FROM lfk.tracked) THEN
    DROP SCHEMA lfk CASCADE;
  END IF;
END $do$;
