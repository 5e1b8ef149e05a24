-- Purpose: lfk.assert_drained: for migrations and deploys: raises unless every parent deleted up to now, by transactions
--   that this one can see, has been dealt with: nothing unread, nothing set aside, no quarantine. It waits
--   for nothing but a leaf of the log that is being made again.
--   Trailing passes do not count. A definition that observes cleans nothing, so it is never drained.
-- For whoever may enter the schema: GRANT USAGE ON SCHEMA lfk TO migrator.
-- Locks: ACCESS SHARE. Index: key_log_position, retry's primary key. Repeat: only reads.
CREATE OR REPLACE FUNCTION lfk.assert_drained(name text) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $assert$
DECLARE
  d record;
  why text;
BEGIN
  -- A statement that waits for a leaf that is being made again would see the log as it was before, and empty.
  LOCK TABLE lfk.key_log IN ACCESS SHARE MODE;
  SELECT x.state, x.condition, x.note, u.rows > 0 AS unread,
         EXISTS (SELECT FROM lfk.cursor c JOIN lfk.retry r USING (consumer) WHERE c.definition = x.name AND r.quarantined_at IS NULL) AS waiting,
         EXISTS (SELECT FROM lfk.cursor c JOIN lfk.retry r USING (consumer) WHERE c.definition = x.name AND r.quarantined_at IS NOT NULL) AS quarantined
    INTO d FROM lfk.definition x CROSS JOIN LATERAL lfk.unread(x.name, 1) u WHERE x.name = assert_drained.name;
  IF NOT FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = format('there is no loose foreign key "%s" in this database', name),
      HINT = 'It is asked for in the database of its parents; SELECT name FROM lfk.health lists them.';
  END IF;
  why := concat_ws(', ', CASE WHEN d.state = 'observe' THEN 'it observes and cleans nothing' END,
                         CASE WHEN d.unread THEN 'keys in the log wait' END,
                         CASE WHEN d.waiting THEN 'keys are set aside' END,
                         CASE WHEN d.quarantined THEN 'keys are quarantined' END);
  IF why <> '' THEN
    RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = format('loose foreign key "%s" is not drained: %s', name, why),
      DETAIL = concat_ws(': ', 'state ' || d.state, nullif(d.condition, 'ok'), d.note),
      HINT = 'Wait with: lfk run --until-drained. What is set aside is listed by: lfk retry list.';
  END IF;
END $assert$;
-- Not left to the defaults: ALTER DEFAULT PRIVILEGES may have taken it from PUBLIC for what this role makes.
GRANT EXECUTE ON FUNCTION lfk.assert_drained(text) TO PUBLIC;
COMMENT ON FUNCTION lfk.assert_drained(text) IS 'Raises unless a loose foreign key has nothing left to do.';
