-- Purpose: the text of one generated trigger function: capture_op is d (delete), u (update), t (truncate) or i (insert).
--   watched: NULL for parents, where an update is logged when a key is gone; else columns of a mirror's source, where it is
--   logged when a key is gone or new, or one of these columns differs in any bit.
-- What the text must keep:
--   The statement of the application never fails because of it. So: no EXCEPTION block (a subtransaction a statement), no
--   dynamic SQL, no NOTIFY; the key columns are looked up in the catalog before a statement that names them is planned,
--   and when they do not fit a marker is logged instead of keys.
--   A transaction of REPEATABLE READ sees the catalog as of its snapshot, the parser as of now. There, functions that look
--   at the present say whether the column still has its name, and a change of type shows as another file of the table.
--   Plans are made once a session, for whatever the first statement's size was. So only shapes that are right at every
--   size: the set difference of an UPDATE is a GROUP BY, which spills to disk, because an anti join planned for one row
--   is a nested loop that never ends for 300,000, and EXCEPT keeps everything in memory.
--   At most 1000 keys a row, and never the whole transition table in one array: 1 GB is the limit of a value.
-- Locks: none. Repeat: computes text only.
CREATE OR REPLACE FUNCTION lfk.capture_body(table_id integer, key_columns text[], key_types text[], capture_op text, watched text[])
RETURNS text LANGUAGE plpgsql STABLE SET search_path = pg_catalog, pg_temp AS $body$
DECLARE
  width constant integer := cardinality(key_columns);
  packed constant boolean := width = 1 AND key_types[1] = 'int8';
  target constant text := CASE WHEN packed THEN 'keys' ELSE 'tkeys' END;
  fresh constant text := CASE WHEN capture_op = 'i' THEN 'lfk_new' ELSE 'lfk_old' END;
  -- Columns that the text names: when one of them is not there, nothing of it may be planned.
  named constant text[] := key_columns || CASE WHEN capture_op = 'u' THEN ARRAY(SELECT unnest(watched) EXCEPT SELECT unnest(key_columns)) END;
  same_key text;    -- o.id::int8 = n.id::int8
  either_key text;  -- coalesce(o.id, n.id)::int8 AS k1
  images text;      -- ROW(o.a, o.b), ROW(n.a, n.b)
  fits text;
  old_keys text;  -- k1 = one key column each, of the old rows
  new_keys text;
  names text;     -- s.k1, s.k2
  present text;   -- s.k1 IS NOT NULL AND ...
  one_key text;   -- one element of an array: a value, or the columns of a composite
  keys text;      -- the relation s of keys to log
  flat text;      -- how an array of such elements is stored
BEGIN
  IF capture_op = 't' THEN
    RETURN format($t$
BEGIN
  INSERT INTO lfk.key_log (table_id, op) VALUES (%s, 't');
  RETURN NULL;
END $t$, table_id);
  END IF;
  -- Types by oid: 20, 21 and 23 are the integers, 25 text, 1043 varchar, 2950 uuid.
  SELECT string_agg(format('a.attname = %L::name AND a.atttypid IN (%s)', c,
                           CASE t WHEN 'int8' THEN '20, 21, 23' WHEN 'uuid' THEN '2950' ELSE '25, 1043' END), ' OR ' ORDER BY n),
         string_agg(format('o.%I::%s AS k%s', c, CASE WHEN packed THEN 'int8' ELSE 'text COLLATE "C"' END, n), ', ' ORDER BY n),
         string_agg(format('o.%I::%s', c, CASE WHEN packed THEN 'int8' ELSE 'text COLLATE "C"' END), ', ' ORDER BY n),
         string_agg(format('s.k%s', n), ', ' ORDER BY n),
         string_agg(format('s.k%s IS NOT NULL', n), ' AND ' ORDER BY n)
    INTO fits, old_keys, new_keys, names, present
    FROM unnest(key_columns, key_types) WITH ORDINALITY AS k(c, t, n);
  SELECT fits || coalesce(string_agg(format(' OR a.attname = %L::name', c), ''), '') INTO fits
    FROM unnest(named) c WHERE c <> ALL (key_columns);
  IF capture_op = 'u' AND watched IS NOT NULL THEN
    -- A full join hashes or merges; it is never a nested loop, whatever the first statement's size was.
    SELECT string_agg(format('o.%1$I::%2$s = n.%1$I::%2$s', c, CASE WHEN packed THEN 'int8' ELSE 'text COLLATE "C"' END), ' AND ' ORDER BY n),
           string_agg(format('coalesce(o.%1$I::%2$s, n.%1$I::%2$s) AS k%3$s', c, CASE WHEN packed THEN 'int8' ELSE 'text COLLATE "C"' END, n), ', ' ORDER BY n)
      INTO same_key, either_key FROM unnest(key_columns) WITH ORDINALITY AS k(c, n);
    SELECT format('ROW(%s), ROW(%s)', string_agg(format('o.%I', c), ', '), string_agg(format('n.%I', c), ', ')) INTO images FROM unnest(watched) c;
    keys := format('(SELECT %1$s FROM lfk_old o FULL JOIN lfk_new n ON %2$s
                WHERE o.%3$I IS NULL OR n.%3$I IS NULL%4$s) s WHERE %5$s',
                either_key, same_key, key_columns[1], CASE WHEN cardinality(watched) > 0 THEN format(' OR record_image_ne(%s)', images) ELSE '' END, present);
  ELSIF capture_op = 'u' THEN
    -- A key is gone when only old rows have it: an UPDATE that swaps keys, or moves rows between partitions, logs nothing.
    keys := format('(SELECT %1$s FROM (SELECT %2$s, true AS gone FROM lfk_old o UNION ALL SELECT %3$s, false FROM lfk_new o) s
                WHERE %4$s GROUP BY %1$s HAVING bool_and(s.gone)) s', names, old_keys, new_keys, present);
  ELSE
    keys := format('(SELECT %s FROM %s o) s WHERE %s', old_keys, fresh, present);
  END IF;
  one_key := CASE WHEN width = 1 THEN names ELSE format('ARRAY[%s]', names) END;
  flat := CASE WHEN width = 1 THEN '%s' ELSE 'ARRAY(SELECT unnest(%s))' END;
  RETURN format($t$
DECLARE
  ks %1$s[];
  fits boolean := %4$s = (SELECT count(*) FROM pg_catalog.pg_attribute a
                           WHERE a.attrelid = TG_RELID AND a.attname = ANY (%2$L::name[]) AND NOT a.attisdropped AND (%3$s));
BEGIN
  IF fits AND current_setting('transaction_isolation') NOT IN ('read committed', 'read uncommitted') THEN
    fits := (SELECT bool_and((pg_identify_object_as_address(1259, TG_RELID, a.attnum)).object_names[3] IS NOT DISTINCT FROM a.attname)
               FROM pg_catalog.pg_attribute a WHERE a.attrelid = TG_RELID AND a.attname = ANY (%2$L::name[]) AND NOT a.attisdropped)
            AND NOT EXISTS (SELECT FROM pg_catalog.pg_class c
                             WHERE c.oid = ANY (ARRAY(SELECT w.relid FROM pg_partition_tree(TG_RELID) w) || TG_RELID)
                               AND c.relfilenode <> pg_relation_filenode(c.oid));
  END IF;
  IF NOT fits THEN
    IF EXISTS (SELECT FROM %13$s) THEN
      INSERT INTO lfk.key_log (table_id, op) VALUES (%5$s, 's');
    END IF;
    RETURN NULL;
  END IF;
  ks := ARRAY(SELECT %6$s FROM %7$s LIMIT 1001);
  IF cardinality(ks) = 0 THEN
    RETURN NULL;
  END IF;
  IF cardinality(ks) <= %8$s THEN
    INSERT INTO lfk.key_log (table_id, op, %9$s) VALUES (%5$s, %10$L, %11$s);
  ELSE
    INSERT INTO lfk.key_log (table_id, op, %9$s)
    SELECT %5$s, %10$L, %12$s
      FROM (SELECT array_agg(p.k) AS ks
              FROM (SELECT %6$s AS k, (row_number() OVER () - 1) / 1000 AS g FROM %7$s) p GROUP BY p.g) q;
  END IF;
  RETURN NULL;
END $t$,
    CASE WHEN packed THEN 'int8' ELSE 'text' END, named::name[], fits, cardinality(named), table_id, one_key, keys, 1000 * width,
    target, capture_op, format(flat, 'ks'), format(flat, 'q.ks'), fresh);
END $body$;
REVOKE ALL ON FUNCTION lfk.capture_body(integer, text[], text[], text, text[]) FROM PUBLIC;
COMMENT ON FUNCTION lfk.capture_body(integer, text[], text[], text, text[]) IS 'The text of a generated trigger function; differs from the stored one after an upgrade or when somebody edited it.';
