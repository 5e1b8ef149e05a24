-- Purpose: removes the triggers of a retiring table, one relation after the other where we own it, and at last its
--   functions with CASCADE, which takes the triggers on tables of others and on detached partitions along; it needs the
--   owner of the function, not of the table. True: all is gone. False: repeat (max_triggers relations were done).
-- Locks: ACCESS EXCLUSIVE on each relation for a moment, waited for 100 ms; lock_not_available leaves what is done so far
--   to the caller's transaction: call it with max_triggers = 1, each call in a transaction of its own.
-- Index: pg_trigger by relation. Repeat: yes. Does nothing to a table that is not retiring.
CREATE OR REPLACE FUNCTION lfk.untrack(track_id integer, max_triggers integer DEFAULT NULL)
RETURNS boolean LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms' AS $untrack$
DECLARE
  functions oid[];
  done integer := 0;
  r record;
  op text;
BEGIN
  PERFORM FROM lfk.tracked t WHERE t.table_id = track_id AND t.retiring FOR UPDATE;
  IF NOT FOUND THEN
    RETURN true;
  END IF;
  SELECT array_agg(f.oid) INTO functions
    FROM (SELECT to_regprocedure(format('lfk.lfk_%s_%s()', track_id, o))::oid AS oid FROM unnest(ARRAY['d', 'u', 't', 'i']) o) f WHERE f.oid IS NOT NULL;
  FOR r IN SELECT g.tgrelid AS relation, array_agg(g.tgname::text) AS triggers FROM pg_trigger g JOIN pg_class c ON c.oid = g.tgrelid
            WHERE g.tgfoid = ANY (functions) AND pg_has_role(c.relowner, 'USAGE') GROUP BY g.tgrelid ORDER BY random() LOOP
    IF done >= max_triggers THEN
      RETURN false;
    END IF;
    done := done + 1;
    FOREACH op IN ARRAY r.triggers LOOP
      EXECUTE format('DROP TRIGGER %I ON %s', op, r.relation::regclass);
    END LOOP;
  END LOOP;
  FOREACH op IN ARRAY ARRAY['d', 'u', 't', 'i'] LOOP
    EXECUTE format('DROP FUNCTION IF EXISTS lfk.lfk_%s_%s() CASCADE', track_id, op);
  END LOOP;
  DELETE FROM lfk.tracked t WHERE t.table_id = track_id AND t.retiring AND NOT EXISTS (SELECT FROM lfk.definition d WHERE d.table_id = t.table_id);
  RETURN true;
END $untrack$;
REVOKE ALL ON FUNCTION lfk.untrack(integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION lfk.untrack(integer, integer) IS 'Removes the triggers and functions of a retiring table; true when all is gone.';
