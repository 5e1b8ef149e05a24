-- Purpose: one note for each of $1 parents, in an order of its own. Repeat: fails.
INSERT INTO public.notes
SELECT n, 1 + (n * 7919) % $1::bigint, (n % 5)::integer, pg_catalog.repeat('z', 70) FROM pg_catalog.generate_series(1, $1::bigint) n
