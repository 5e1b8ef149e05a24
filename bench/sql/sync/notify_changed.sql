-- Purpose: tells who listens which rows of the target were changed, as soon as that is committed. Repeat: fails.
CREATE FUNCTION public.tell_changed() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $tell$
BEGIN
  PERFORM pg_catalog.pg_notify('done', s.keys) FROM (SELECT pg_catalog.string_agg(c.id::text, ',') AS keys FROM changed c) s WHERE s.keys IS NOT NULL;
  RETURN NULL;
END $tell$;
CREATE TRIGGER tell_changed AFTER UPDATE ON public.space_mirrors REFERENCING NEW TABLE AS changed FOR EACH STATEMENT EXECUTE FUNCTION public.tell_changed();
