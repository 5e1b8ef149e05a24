-- Purpose: $2 children of each of $1 parents. Neighbours in the table have different parents, far from one another, as in a table
--   that grew for years: 7919 is a prime that divides no number of parents used here, so this is a permutation. Repeat: fails.
INSERT INTO public.builds
SELECT n, 1 + (n * 7919) % $1::bigint, (n % 5)::integer, pg_catalog.repeat('y', 70) FROM pg_catalog.generate_series(1, $1::bigint * $2::bigint) n
