-- Purpose: $1 tables of children, each with one child of each of the parents 1 to $2. Repeat: replaced.
CREATE OR REPLACE PROCEDURE public.create_children(tables bigint, parents bigint) LANGUAGE plpgsql AS $create$
BEGIN
  FOR n IN 1..tables LOOP
    EXECUTE pg_catalog.format('CREATE TABLE public.child_%s (id bigint PRIMARY KEY, project_id bigint)', n);
    EXECUTE pg_catalog.format('INSERT INTO public.child_%s SELECT g, g FROM pg_catalog.generate_series(1, %s) g', n, parents);
    EXECUTE pg_catalog.format('CREATE INDEX child_%s_project ON public.child_%s (project_id)', n, n);
    COMMIT;
  END LOOP;
END $create$
