-- Purpose: has the deleted and changed keys of a table logged under a number of its own, which it returns; makes the
--   trigger functions lfk.lfk_<table_id>_d, _u and _t. For the source of a mirror also _i: there, inserts and changes of the
--   watched columns are logged too. The triggers themselves are made by lfk.cover.
-- Locks: none on anything of the application, and none at all when nothing has to change. Index: tracked's unique key.
-- Repeat: yes; functions are replaced only when they are missing or of another capture version.
CREATE OR REPLACE FUNCTION lfk.track(relation regclass, key_columns text[], mirror text DEFAULT NULL, watched text[] DEFAULT NULL, mentioned text[] DEFAULT NULL)
RETURNS integer LANGUAGE plpgsql SECURITY INVOKER SET search_path = pg_catalog, pg_temp AS $track$
#variable_conflict use_column
DECLARE
  version constant integer := 1;
  wanted constant regclass := relation;
  columns constant text[] := key_columns;
  for_mirror constant text := mirror;
  -- Names in the expressions of a mirror are columns, functions, keywords: the columns are watched, too.
  besides constant text[] := CASE WHEN mirror IS NOT NULL THEN
    ARRAY(SELECT u FROM unnest(watched) u UNION
          SELECT a.attname::text FROM pg_attribute a WHERE a.attrelid = relation AND a.attnum > 0 AND NOT a.attisdropped AND a.attname = ANY (mentioned)
          ORDER BY 1) END;
  ops constant "char"[] := CASE WHEN mirror IS NULL THEN '{d,u,t}' ELSE '{d,u,t,i}' END;
  kinds text[];
  wrong text;
  log_owner oid;
  t record;
  op "char";
  name text;
  unseen boolean;
BEGIN
  SELECT c.relowner INTO STRICT log_owner FROM pg_class c WHERE c.oid = 'lfk.key_log'::regclass;
  -- A trigger function whose owner may not write the log would make every delete fail.
  IF NOT pg_has_role(log_owner, 'USAGE') THEN
    RAISE EXCEPTION USING ERRCODE = 'insufficient_privilege', MESSAGE = format('only %s, who installed schema lfk, may track tables', log_owner::regrole),
      HINT = format('run it as %s, or: GRANT %s TO %I', log_owner::regrole, log_owner::regrole, current_user);
  END IF;
  SELECT CASE WHEN c.oid IS NULL THEN 'it does not exist' WHEN c.relkind NOT IN ('r', 'p') THEN 'it is not a table'
              WHEN c.relpersistence = 't' THEN 'it is a temporary table' WHEN n.nspname IN ('lfk', 'pg_catalog') THEN 'it is a system table' END
    INTO wrong FROM (VALUES (wanted)) w(oid) LEFT JOIN pg_class c ON c.oid = w.oid LEFT JOIN pg_namespace n ON n.oid = c.relnamespace;
  IF wrong IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'wrong_object_type', MESSAGE = format('%s cannot be tracked: %s', wanted, wrong);
  END IF;
  IF coalesce(cardinality(columns), 0) = 0 OR array_position(columns, NULL) IS NOT NULL OR array_ndims(columns) <> 1 THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = format('%s needs at least one key column, none of them NULL', wanted);
  END IF;
  -- Domains, generated and other types: only what compares alike in every database is accepted.
  SELECT array_agg(k.kind ORDER BY k.n),
         string_agg(format('%I %s', k.c, CASE WHEN k.typid IS NULL THEN 'does not exist' ELSE 'is of type ' || format_type(k.typid, NULL) END), ', ' ORDER BY k.n)
           FILTER (WHERE k.kind IS NULL)
    INTO kinds, wrong
    FROM (SELECT u.n, u.c, a.atttypid AS typid,
                 CASE WHEN a.atttypid IN (20, 21, 23) THEN 'int8' WHEN a.atttypid IN (25, 1043) THEN 'text' WHEN a.atttypid = 2950 THEN 'uuid' END AS kind
            FROM unnest(columns) WITH ORDINALITY AS u(c, n)
            LEFT JOIN pg_attribute a ON a.attrelid = wanted AND a.attname = u.c AND a.attnum > 0 AND NOT a.attisdropped) k;
  IF wrong IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'datatype_mismatch', MESSAGE = format('the key of %s cannot be tracked: %s', wanted, wrong),
      HINT = 'key columns may be smallint, integer, bigint, uuid, text or varchar';
  END IF;

  SELECT string_agg(format('%I', u.c), ', ' ORDER BY u.n) INTO wrong FROM unnest(besides) WITH ORDINALITY AS u(c, n)
   WHERE NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = wanted AND a.attname = u.c AND a.attnum > 0 AND NOT a.attisdropped);
  IF wrong IS NOT NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'undefined_column', MESSAGE = format('columns of %s that are to be watched do not exist: %s', wanted, wrong);
  END IF;

  SELECT * INTO t FROM lfk.tracked x WHERE x.relation = wanted AND x.key_columns = columns AND x.mirror IS NOT DISTINCT FROM for_mirror;
  IF FOUND AND t.key_types = kinds AND t.watched IS NOT DISTINCT FROM besides AND t.capture_version = version AND NOT t.retiring
     AND NOT EXISTS (SELECT FROM unnest(ops) f WHERE to_regprocedure(format('lfk.lfk_%s_%s()', t.table_id, f)) IS NULL) THEN
    RETURN t.table_id;
  END IF;

  unseen := t.key_types <> kinds OR (t.table_id IS NOT NULL AND t.watched IS DISTINCT FROM besides);
  -- Two installations at once would replace the same function; lock_timeout bounds the wait.
  PERFORM pg_advisory_xact_lock(7813284112);
  INSERT INTO lfk.tracked AS x (relation, key_columns, key_types, capture_version, mirror, watched)
  VALUES (wanted, columns, kinds, version, for_mirror, besides)
  ON CONFLICT (relation, key_columns, mirror)
  DO UPDATE SET key_types = excluded.key_types, capture_version = excluded.capture_version, watched = excluded.watched, retiring = false
  RETURNING * INTO t;
  FOREACH op IN ARRAY ops LOOP
    name := format('lfk_%s_%s', t.table_id, op);
    EXECUTE format('CREATE OR REPLACE FUNCTION lfk.%I() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS %L',
                   name, lfk.capture_body(t.table_id, columns, kinds, op::text, besides));
    EXECUTE format('ALTER FUNCTION lfk.%I() OWNER TO %s', name, log_owner::regrole);
    EXECUTE format('REVOKE ALL ON FUNCTION lfk.%I() FROM PUBLIC', name);
    EXECUTE format('COMMENT ON FUNCTION lfk.%I() IS %L', name,
                   format('lfk: logs %s of %s (%s), capture version %s', CASE op WHEN 'd' THEN 'deleted keys' WHEN 'u' THEN 'changed keys' WHEN 'i' THEN 'new keys' ELSE 'TRUNCATE' END,
                          wanted, array_to_string(columns, ', '), version));
  END LOOP;
  IF unseen THEN
    -- Between the change of type and now only markers were logged, and keys of the old type may wait in the log. What was not
    -- watched before may have changed.
    INSERT INTO lfk.key_log (table_id, op) VALUES (t.table_id, 's');
  END IF;
  RETURN t.table_id;
END $track$;
REVOKE ALL ON FUNCTION lfk.track(regclass, text[], text, text[], text[]) FROM PUBLIC;
COMMENT ON FUNCTION lfk.track(regclass, text[], text, text[], text[]) IS 'Has the deleted and changed keys of a table logged, for a mirror also new keys and those with changes in watched columns; returns its table_id. lfk.cover() then makes the triggers.';
