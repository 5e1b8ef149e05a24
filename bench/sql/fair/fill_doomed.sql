-- Purpose: the parents that a bench deletes are $1 to $2. Repeat: fails.
INSERT INTO public.doomed SELECT n FROM pg_catalog.generate_series($1::bigint, $2::bigint) n
