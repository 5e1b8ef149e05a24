-- Purpose: makes the leaves of the key log again that somebody dropped or detached. The DEFAULT leaf has taken their
--   rows meanwhile; each row moves to its leaf as it is, with its xid and id.
-- Locks: nothing when every leaf is there. Else ACCESS EXCLUSIVE on the DEFAULT leaf, after most rows have been copied
--   without it; and SHARE ROW EXCLUSIVE on the root when the missing leaf is the current one, taken only if free at once:
--   an INSERT that was routed to the DEFAULT leaf before the new leaf came would fail, and with it the application's DELETE.
-- Repeat: yes; a lock that is not free undoes the attempt, and the DEFAULT leaf goes on taking the rows.
CREATE OR REPLACE FUNCTION lfk.restore_leaves()
RETURNS TABLE (relation text, outcome text, detail text)
LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET lock_timeout = '100ms' AS $leaves$
#variable_conflict use_column
DECLARE
  missing integer[];
  near boolean;
  seen pg_snapshot;
  n integer;
  done text[] := '{}';
  attached boolean;
  g record;
BEGIN
  SELECT array_agg(m ORDER BY m) INTO missing FROM generate_series(0, 7) m
   WHERE NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = 'lfk.key_log'::regclass AND i.inhrelid = to_regclass(format('lfk.key_log_%s', m)));
  attached := EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = 'lfk.key_log'::regclass AND i.inhrelid = to_regclass('lfk.key_log_default'));
  IF missing IS NULL AND attached THEN
    RETURN;
  END IF;
  IF current_setting('transaction_isolation') <> 'read committed' THEN
    -- With one snapshot for all statements, rows that come in between would be thrown away.
    RETURN QUERY SELECT 'lfk.key_log', 'failed', 'a leaf of the key log is missing; lfk.cover() makes it in a READ COMMITTED transaction';
    RETURN;
  END IF;
  -- The same lock as whoever retires a leaf: never both at once, never waited for.
  IF NOT pg_try_advisory_xact_lock(7813284111) THEN
    RETURN;
  END IF;
  BEGIN
    IF NOT attached THEN
      IF to_regclass('lfk.key_log_default') IS NULL THEN
        CREATE TABLE lfk.key_log_default (LIKE lfk.key_log INCLUDING DEFAULTS INCLUDING INDEXES);
      END IF;
      ALTER TABLE lfk.key_log ATTACH PARTITION lfk.key_log_default DEFAULT;
      done := done || 'lfk.key_log_default'::text;
    END IF;
    missing := coalesce(missing, '{}');
    FOREACH n IN ARRAY missing LOOP
      IF to_regclass(format('lfk.key_log_%s', n)) IS NULL THEN
        EXECUTE format('CREATE TABLE lfk.key_log_%s (LIKE lfk.key_log INCLUDING DEFAULTS INCLUDING INDEXES)', n);
      END IF;
    END LOOP;
    seen := pg_current_snapshot();
    FOREACH n IN ARRAY missing LOOP
      EXECUTE format('INSERT INTO lfk.key_log_%s (leaf, table_id, op, xid, id, at, keys, tkeys)
                      SELECT leaf, table_id, op, xid, id, at, keys, tkeys FROM lfk.key_log_default WHERE leaf = %s AND pg_visible_in_snapshot(xid, $1)', n, n)
        USING seen;
    END LOOP;
    -- A statement computes its leaf and is routed within moments; half a minute is far more.
    SELECT bool_or(((extract(epoch FROM clock_timestamp() + s)::bigint / 14400) % 8) = ANY (missing)) INTO near
      FROM unnest(ARRAY[interval '-30 s', interval '0', interval '30 s']) s;
    IF near THEN
      LOCK TABLE ONLY lfk.key_log IN SHARE ROW EXCLUSIVE MODE NOWAIT;
    END IF;
    IF cardinality(missing) > 0 THEN
      LOCK TABLE lfk.key_log_default IN ACCESS EXCLUSIVE MODE;
    END IF;
    FOREACH n IN ARRAY missing LOOP
      EXECUTE format('INSERT INTO lfk.key_log_%s (leaf, table_id, op, xid, id, at, keys, tkeys)
                      SELECT leaf, table_id, op, xid, id, at, keys, tkeys FROM lfk.key_log_default WHERE leaf = %s AND NOT pg_visible_in_snapshot(xid, $1)', n, n)
        USING seen;
    END LOOP;
    -- Whatever the DEFAULT leaf held belongs to a missing leaf, unless somebody changed the period.
    IF cardinality(missing) > 0 AND NOT EXISTS (SELECT FROM lfk.key_log_default d WHERE d.leaf <> ALL (missing)) THEN
      TRUNCATE lfk.key_log_default;
    ELSE
      DELETE FROM lfk.key_log_default d WHERE d.leaf = ANY (missing);
    END IF;
    FOREACH n IN ARRAY missing LOOP
      EXECUTE format('ALTER TABLE lfk.key_log ATTACH PARTITION lfk.key_log_%s FOR VALUES IN (%s)', n, n);
      done := done || format('lfk.key_log_%s', n);
    END LOOP;
    -- Whoever may read and empty the log works on its leaves one by one.
    FOR g IN SELECT d AS leaf, a.privilege_type, a.grantee FROM unnest(done) d, pg_class c, aclexplode(c.relacl) a
              WHERE c.oid = 'lfk.key_log'::regclass AND a.grantee <> c.relowner AND a.grantee <> 0 LOOP
      EXECUTE format('GRANT %s ON %s TO %s', g.privilege_type, g.leaf, g.grantee::regrole);
    END LOOP;
  EXCEPTION
    WHEN lock_not_available OR deadlock_detected THEN
      RETURN QUERY SELECT 'lfk.key_log', 'locked', 'a leaf of the key log is missing and is made as soon as nobody writes to the log; nothing is lost meanwhile';
      RETURN;
    WHEN OTHERS THEN
      RETURN QUERY SELECT 'lfk.key_log', 'failed', 'a leaf of the key log is missing and cannot be made: ' || SQLERRM;
      RETURN;
  END;
  RETURN QUERY SELECT d, 'leaf_restored', 'the leaf was missing; it holds what the DEFAULT leaf had taken for it' FROM unnest(done) d;
END $leaves$;
REVOKE ALL ON FUNCTION lfk.restore_leaves() FROM PUBLIC;
COMMENT ON FUNCTION lfk.restore_leaves() IS 'Makes missing leaves of the key log again and moves the rows that the DEFAULT leaf took for them.';
