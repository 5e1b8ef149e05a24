-- Purpose: the audit: every change of state, every turn of the kill switch, whatever a person did to keys set aside.
--   Triggers write the first two, so that a change by hand is in it like one by lfk.
-- Locks: SHARE ROW EXCLUSIVE on two tables of lfk, only when a trigger is made; none on anything of the application.
-- Repeat: makes only what is missing.
CREATE TABLE IF NOT EXISTS lfk.audit (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  -- No reference: what was done to a definition outlives it.
  definition text,
  event text NOT NULL,
  detail jsonb NOT NULL DEFAULT '{}',
  by text NOT NULL DEFAULT SESSION_USER
);
COMMENT ON TABLE lfk.audit IS 'What was done and by which role. Only ever appended to; never holds a key.';
COMMENT ON COLUMN lfk.audit.definition IS 'NULL: all of them.';
COMMENT ON COLUMN lfk.audit.event IS 'installed, state, changed, uninstalled; stopped, started; retry_now, retry_drop; replay; repair_begun, repair_ended; fence_ahead, target_replaced.';

-- SECURITY DEFINER: whoever may change a state need not be able to write here. The session's role is the one that is noted.
CREATE OR REPLACE FUNCTION lfk.note_definition() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $audit$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO lfk.audit (definition, event, detail) VALUES (NEW.name, 'installed', jsonb_build_object('to', NEW.state, 'fingerprint', NEW.fingerprint));
  ELSIF TG_OP = 'DELETE' THEN
    INSERT INTO lfk.audit (definition, event, detail) VALUES (OLD.name, 'uninstalled', jsonb_build_object('from', OLD.state));
  ELSIF NEW.fingerprint IS DISTINCT FROM OLD.fingerprint THEN
    INSERT INTO lfk.audit (definition, event, detail)
    VALUES (NEW.name, 'changed', jsonb_build_object('from', OLD.state, 'to', NEW.state, 'was', OLD.fingerprint, 'fingerprint', NEW.fingerprint));
  ELSE
    INSERT INTO lfk.audit (definition, event, detail) VALUES (NEW.name, 'state', jsonb_build_object('from', OLD.state, 'to', NEW.state));
  END IF;
  RETURN NULL;
END $audit$;
REVOKE ALL ON FUNCTION lfk.note_definition() FROM PUBLIC;

CREATE OR REPLACE FUNCTION lfk.note_switch() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $audit$
BEGIN
  INSERT INTO lfk.audit (event) VALUES (CASE WHEN NEW.stopped THEN 'stopped' ELSE 'started' END);
  RETURN NULL;
END $audit$;
REVOKE ALL ON FUNCTION lfk.note_switch() FROM PUBLIC;

DO $do$
BEGIN
  IF NOT EXISTS (SELECT FROM pg_catalog.pg_trigger g WHERE g.tgrelid = 'lfk.definition'::regclass AND g.tgname = 'note_definition') THEN
    CREATE TRIGGER note_definition AFTER INSERT OR DELETE ON lfk.definition
      FOR EACH ROW EXECUTE FUNCTION lfk.note_definition();
    CREATE TRIGGER note_definition_changed AFTER UPDATE ON lfk.definition
      FOR EACH ROW WHEN ((OLD.state, OLD.fingerprint) IS DISTINCT FROM (NEW.state, NEW.fingerprint)) EXECUTE FUNCTION lfk.note_definition();
    CREATE TRIGGER note_switch AFTER UPDATE ON lfk.control
      FOR EACH ROW WHEN (OLD.stopped IS DISTINCT FROM NEW.stopped) EXECUTE FUNCTION lfk.note_switch();
  END IF;
END $do$;
