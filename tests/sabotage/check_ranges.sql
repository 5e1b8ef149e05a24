-- Reads windows between random pairs of snapshots with the prepared statement "page" and compares each with its
-- definition: the rows that cur sees and prev does not. Also asks the prepared statement "probe" whether prev leaves
-- anything. Returns what differs. The log must hold rows of the consumer's table by transactions 1000 to 1019.
CREATE FUNCTION public.some_snapshot(xmax bigint) RETURNS pg_snapshot LANGUAGE sql VOLATILE AS $$
  SELECT (coalesce(min(x), xmax) || ':' || xmax || ':' || coalesce(string_agg(x::text, ',' ORDER BY x), ''))::pg_snapshot
    FROM generate_series(990, xmax - 1) x WHERE random() < 0.3
$$;
CREATE FUNCTION public.check_ranges(consumer_name text, seed float8, cases int)
RETURNS TABLE (what text, prev text, cur text, want text, got text) LANGUAGE plpgsql AS $check$
#variable_conflict use_column
DECLARE
  p pg_snapshot;
  c pg_snapshot;
  low bigint;
  expected text;
  answer text;
  size int;
  rows int;
  most bigint;
  keys bigint;
  last record;
  work boolean;
BEGIN
  PERFORM setseed(seed);
  FOR n IN 1..cases LOOP
    low := 998 + floor(random() * 26)::int;
    p := CASE WHEN n % 20 = 0 THEN '1:1:'::pg_snapshot ELSE public.some_snapshot(low) END;
    c := public.some_snapshot(low + floor(random() * (1024 - low))::int);

    UPDATE lfk.cursor k SET prev = p, cur = NULL, stamp = pg_current_xact_id() WHERE k.consumer = consumer_name;
    EXECUTE 'EXECUTE probe(0)' INTO last;
    work := EXISTS (SELECT FROM lfk.key_log l JOIN lfk.cursor k USING (table_id)
                     WHERE k.consumer = consumer_name AND NOT pg_visible_in_snapshot(l.xid, p));
    IF last.log_work IS DISTINCT FROM work THEN
      RETURN QUERY SELECT 'probe', p::text, NULL, work::text, last.log_work::text;
    END IF;

    SELECT string_agg(l.xid || '/' || l.id, ' ' ORDER BY l.xid, l.id) INTO expected
      FROM lfk.key_log l JOIN lfk.cursor k USING (table_id)
     WHERE k.consumer = consumer_name AND pg_visible_in_snapshot(l.xid, c) AND NOT pg_visible_in_snapshot(l.xid, p);
    UPDATE lfk.cursor k SET cur = c, token = 1, pos_xid = '0', pos_id = 0, stamp = pg_current_xact_id() WHERE k.consumer = consumer_name;
    answer := '';
    SELECT '0'::text AS xid, 0::bigint AS id INTO last;
    LOOP
      size := 1 + floor(random() * 25)::int;
      rows := 0;
      most := 1 + floor(random() * 50)::int;
      keys := 0;
      FOR last IN EXECUTE format('EXECUTE page(%L, 1, %s, %L, %s, %s)', consumer_name, size, last.xid, last.id, most) LOOP
        rows := rows + 1;
        keys := last.up_to;
        answer := answer || ' ' || last.xid || '/' || last.id;
      END LOOP;
      EXIT WHEN rows < size AND keys < most;
      -- The next page begins behind what was read, or behind a stored position.
      IF n % 2 = 0 THEN
        UPDATE lfk.cursor k SET pos_xid = last.xid::xid8, pos_id = last.id, stamp = pg_current_xact_id() WHERE k.consumer = consumer_name;
        last.xid := '0';
        last.id := 0;
      END IF;
    END LOOP;
    IF coalesce(expected, '') <> trim(answer) THEN
      RETURN QUERY SELECT 'page', p::text, c::text, expected, answer;
    END IF;
  END LOOP;
END $check$
