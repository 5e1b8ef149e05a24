-- Purpose: tells who listens whose children were deleted, as soon as that is committed. Repeat: fails.
CREATE FUNCTION public.tell_gone() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $tell$
BEGIN
  PERFORM pg_catalog.pg_notify('done', s.keys) FROM (SELECT pg_catalog.string_agg(DISTINCT g.project_id::text, ',') AS keys FROM gone g) s WHERE s.keys IS NOT NULL;
  RETURN NULL;
END $tell$;
CREATE TRIGGER tell_gone AFTER DELETE ON public.builds REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION public.tell_gone();
