-- Purpose: notes when children of other parents than parent 1 are deleted, by the server's clock. Repeat: fails.
CREATE TABLE public.small (at timestamptz NOT NULL, deleted bigint NOT NULL);
CREATE FUNCTION public.note_small() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $note$
BEGIN
  INSERT INTO public.small SELECT pg_catalog.clock_timestamp(), pg_catalog.count(*) FROM gone WHERE project_id <> 1 HAVING pg_catalog.count(*) > 0;
  RETURN NULL;
END $note$;
CREATE TRIGGER note_small AFTER DELETE ON public.builds REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION public.note_small();
