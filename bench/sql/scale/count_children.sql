-- Purpose: children of doomed parents, and of others, in all tables. Repeat: only reads.
CREATE OR REPLACE FUNCTION public.count_children(OUT doomed bigint, OUT kept bigint, OUT keys text) LANGUAGE plpgsql AS $count$
DECLARE
  name text; a bigint; b bigint; s numeric; total numeric := 0;
BEGIN
  doomed := 0; kept := 0;
  FOR name IN SELECT c.relname FROM pg_catalog.pg_class c WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND c.relname LIKE 'child\_%' LOOP
    EXECUTE pg_catalog.format('SELECT count(d.id), count(*) - count(d.id), coalesce(sum(c.id) FILTER (WHERE d.id IS NULL AND c.id = c.project_id), 0)
      FROM public.%I c LEFT JOIN public.doomed d ON d.id = c.project_id', name) INTO a, b, s;
    doomed := doomed + a; kept := kept + b; total := total + s;
  END LOOP;
  keys := total::text;
END $count$
