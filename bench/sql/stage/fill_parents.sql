-- Purpose: $1 parents, numbered from 1. Repeat: fails.
INSERT INTO public.projects SELECT n, 'project ' || n, pg_catalog.repeat('x', 60) FROM pg_catalog.generate_series(1, $1::bigint) n
