-- Purpose: the time and the size of every statement that deletes children, as the server sees it. Repeat: fails.
CREATE TABLE public.batch (at timestamptz NOT NULL, deleted bigint NOT NULL);
CREATE FUNCTION public.note_batch() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $note$
BEGIN
  INSERT INTO public.batch SELECT pg_catalog.clock_timestamp(), pg_catalog.count(*) FROM gone HAVING pg_catalog.count(*) > 0;
  RETURN NULL;
END $note$;
CREATE TRIGGER note_batch AFTER DELETE ON public.builds REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION public.note_batch();
