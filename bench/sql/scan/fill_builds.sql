-- Purpose: $1 children, $2 of each parent, whose neighbours have different parents. The table of parents has $1 / $2 rows. Repeat: fails.
INSERT INTO public.builds
SELECT n, 1 + (n * 7919) % ($1::bigint / $2::bigint), (n % 5)::integer, pg_catalog.repeat('y', 70) FROM pg_catalog.generate_series(1, $1::bigint) n
