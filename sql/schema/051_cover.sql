-- Purpose: makes the missing triggers in the trees of tracked tables (root, sub-roots, leaves, every inheritance level)
--   and says what is not covered: new partitions have none, people drop and disable triggers, partitions come and go.
--   max_triggers: at most so many relations are tried, so that few locks are held; the caller repeats until nothing is
--   'created'. only_table: this table_id only. SECURITY DEFINER, so that a worker needs EXECUTE and no rights on tables.
-- Outcomes: created, leaf_restored (done); locked (repeat); not_allowed (the detail is the GRANT), disabled,
--   foreign_table, swapped, dropped, failed (lasting); gone, detached (said once).
-- Whatever may have been deleted unseen leaves a sweep marker once a definition hangs on the table: a gap when it is
--   noticed, when it ends, and every hour between; a leaf that is gone. A leaf that is new is no gap: a sweep for each new
--   partition would cost more than the deletes aimed at a partition in its first minute, which an orphan scan finds.
-- Locks: none on relations that are covered. CREATE TRIGGER takes SHARE ROW EXCLUSIVE, DROP TRIGGER (only above a foreign
--   table) ACCESS EXCLUSIVE, each waited for 100 ms at most.
-- Index: pg_inherits, pg_trigger by relation. Repeat: yes.
CREATE OR REPLACE FUNCTION lfk.cover(max_triggers integer DEFAULT NULL, only_table integer DEFAULT NULL)
RETURNS TABLE (relation text, outcome text, detail text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms' AS $cover$
#variable_conflict use_column
DECLARE
  tried integer := 0;
  locked integer := 0;
  t record;
  r record;
  op text;
  found_outcome text;
  found_detail text;
  mark boolean;
  lasting boolean;
  swapped text;
BEGIN
  RETURN QUERY SELECT * FROM lfk.restore_leaves();
  FOR t IN SELECT x.*, EXISTS (SELECT FROM lfk.definition d WHERE d.table_id = x.table_id) AS used
             FROM lfk.tracked x WHERE NOT x.retiring AND (only_table IS NULL OR x.table_id = only_table) ORDER BY x.table_id LOOP
    IF NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = t.relation) THEN
      RETURN QUERY SELECT coalesce((SELECT c.name FROM lfk.covered c WHERE c.table_id = t.table_id AND c.relation = t.relation), t.relation::text), 'dropped',
                          'the table does not exist any more; lfk install follows a new one of that name, lfk uninstall forgets it';
      CONTINUE;
    END IF;
    mark := false;
    lasting := false;
    -- A table of the name that a definition speaks of, and another one than this: the old one was renamed away.
    swapped := NULL;
    BEGIN
      SELECT to_regclass(x.name)::text INTO swapped
        FROM (SELECT substring(d.parent FROM '^[^:]*:(.*)\([^(]*$') AS name FROM lfk.definition d WHERE d.table_id = t.table_id) x
       WHERE to_regclass(x.name) <> t.relation LIMIT 1;
    EXCEPTION WHEN OTHERS THEN
      swapped := NULL;
    END;
    BEGIN
      PERFORM lfk.track(t.relation, t.key_columns, t.mirror, t.watched)
        WHERE EXISTS (SELECT FROM unnest(CASE WHEN t.mirror IS NULL THEN '{d,u,t}'::text[] ELSE '{d,u,t,i}' END) f WHERE to_regprocedure(format('lfk.lfk_%s_%s()', t.table_id, f)) IS NULL);
    EXCEPTION WHEN OTHERS THEN
      RETURN QUERY SELECT t.relation::text, 'failed', SQLERRM;
      CONTINUE;
    END;
    FOR r IN SELECT * FROM lfk.coverage(t.table_id) c ORDER BY c.known IS NOT DISTINCT FROM 'covered', random() LOOP
      IF cardinality(r.missing) = 0 AND cardinality(r.unwanted) = 0 THEN
        found_outcome := r.outcome;
        found_detail := r.detail;
      ELSIF tried >= max_triggers OR locked >= 10 THEN
        -- The rest waits for the next call; what is locked is said, since nobody else would.
        IF locked >= 10 THEN
          RETURN QUERY SELECT r.name, 'locked', 'not tried: too many tables are locked at the moment';
        END IF;
        CONTINUE;
      ELSE
        tried := tried + 1;
        BEGIN
          FOREACH op IN ARRAY r.unwanted LOOP
            EXECUTE format('DROP TRIGGER %I ON %s', op, r.relation::regclass);
          END LOOP;
          FOREACH op IN ARRAY r.missing LOOP
            EXECUTE format('CREATE TRIGGER lfk_%s_%s AFTER %s ON %s %s FOR EACH STATEMENT EXECUTE FUNCTION lfk.lfk_%s_%s()', t.table_id, op,
              CASE op WHEN 'd' THEN 'DELETE' WHEN 'u' THEN 'UPDATE' WHEN 'i' THEN 'INSERT' ELSE 'TRUNCATE' END, r.relation::regclass,
              CASE op WHEN 'd' THEN 'REFERENCING OLD TABLE AS lfk_old' WHEN 'u' THEN 'REFERENCING OLD TABLE AS lfk_old NEW TABLE AS lfk_new'
                      WHEN 'i' THEN 'REFERENCING NEW TABLE AS lfk_new' ELSE '' END,
              t.table_id, op);
          END LOOP;
          found_outcome := r.outcome;
          found_detail := r.detail;
          mark := mark OR r.known IS NOT NULL;
          IF cardinality(r.missing) > 0 THEN
            RETURN QUERY SELECT r.name, 'created', array_to_string(r.missing, ', ');
          END IF;
        EXCEPTION
          WHEN lock_not_available OR deadlock_detected THEN
            locked := locked + 1;
            RETURN QUERY SELECT r.name, 'locked', 'a lock was not free within 100 ms';
            CONTINUE;
          WHEN OTHERS THEN
            -- Somebody else covered it at the same time, or dropped it: the next call tells.
            IF NOT EXISTS (SELECT FROM lfk.coverage(t.table_id) c WHERE c.relation = r.relation AND cardinality(c.missing) + cardinality(c.unwanted) > 0) THEN
              CONTINUE;
            END IF;
            found_outcome := 'failed';
            found_detail := SQLERRM;
        END;
      END IF;
      IF found_outcome = 'covered' AND r.relation = t.relation AND swapped IS NOT NULL THEN
        found_outcome := 'swapped';
        found_detail := format('a definition speaks of %s, which is another table now: nothing is logged there; lfk install follows it', swapped);
      END IF;
      IF found_outcome <> 'covered' THEN
        lasting := true;
        RETURN QUERY SELECT r.name, found_outcome, found_detail;
      END IF;
      IF r.known IS DISTINCT FROM found_outcome THEN
        -- The source of a mirror may have got rows with a new part, or in its first minute, that no trigger has seen.
        mark := mark OR r.known IS NOT NULL OR found_outcome <> 'covered' OR t.mirror IS NOT NULL;
        INSERT INTO lfk.covered AS c (table_id, relation, name, outcome) VALUES (t.table_id, r.relation, r.name, found_outcome)
        ON CONFLICT (table_id, relation) DO UPDATE SET name = excluded.name, outcome = excluded.outcome, noted_at = clock_timestamp();
      END IF;
    END LOOP;
    FOR r IN DELETE FROM lfk.covered c WHERE c.table_id = t.table_id AND NOT EXISTS (SELECT FROM lfk.tree(t.relation) w WHERE w.relation = c.relation)
             RETURNING c.name, EXISTS (SELECT FROM pg_class k WHERE k.oid = c.relation) AS there LOOP
      mark := true;
      RETURN QUERY SELECT r.name, CASE WHEN r.there THEN 'detached' ELSE 'gone' END, format('it is no part of %s any more', t.relation);
    END LOOP;
    IF t.used AND (mark OR (lasting AND coalesce(t.marked_at, '-infinity') < clock_timestamp() - interval '1 hour')) THEN
      INSERT INTO lfk.key_log (table_id, op) VALUES (t.table_id, 's');
      UPDATE lfk.tracked x SET marked_at = clock_timestamp() WHERE x.table_id = t.table_id;
    END IF;
  END LOOP;
END $cover$;
REVOKE ALL ON FUNCTION lfk.cover(integer, integer) FROM PUBLIC;
COMMENT ON FUNCTION lfk.cover(integer, integer) IS 'Makes missing triggers on tracked tables and their partitions; returns what it did and what is not covered.';
