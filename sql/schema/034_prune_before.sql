-- Purpose: forgets rows that repairs had kept, once they are older than they are kept for: at most max_rows at a time, the oldest
--   first. SECURITY DEFINER: the worker may add such rows, and remove none that are younger than a day, whatever it asks for.
-- Locks: the rows; those that somebody has locked are left for the next time. Index: before_image_mirror. Repeat: goes on with the next.
CREATE OR REPLACE FUNCTION lfk.prune_before(of_mirror text, of_source uuid, keep interval, max_rows integer) RETURNS bigint
LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $prune$
  WITH old AS (
    SELECT b.id FROM lfk.before_image b
     WHERE b.mirror = of_mirror AND b.source_identity = of_source AND b.at < clock_timestamp() - greatest(keep, interval '1 day')
     ORDER BY b.at LIMIT max_rows FOR UPDATE SKIP LOCKED
  ), gone AS (
    DELETE FROM lfk.before_image b USING old WHERE b.id = old.id RETURNING 1
  )
  SELECT count(*) FROM gone
$prune$;
REVOKE ALL ON FUNCTION lfk.prune_before(text, uuid, interval, integer) FROM PUBLIC;
COMMENT ON FUNCTION lfk.prune_before(text, uuid, interval, integer) IS 'Forgets the oldest rows that repairs of a mirror had kept, but none of the last day; returns how many.';
