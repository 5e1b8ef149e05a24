-- Purpose: one child of each parent, of $1, that is not doomed ($3 of each $2 are). Repeat: fails.
INSERT INTO public.builds
SELECT n, n, (n % 5)::integer, pg_catalog.repeat('y', 70) FROM pg_catalog.generate_series(1, $1::bigint) n WHERE n % $2::bigint >= $3::bigint
