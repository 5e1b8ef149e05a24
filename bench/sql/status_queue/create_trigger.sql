-- Purpose: each statement that deletes parents adds one row a parent to the queue, in the same transaction.
CREATE FUNCTION public.enqueue() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $enqueue$
BEGIN
  INSERT INTO public.queue (table_name, parent_key)
  SELECT TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME, gone.id FROM gone;
  RETURN NULL;
END $enqueue$;
CREATE TRIGGER enqueue AFTER DELETE ON public.projects REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION public.enqueue();
