-- Purpose: $2 children of each of $1 parents, in the parents' own database. Repeat: fails.
INSERT INTO public.local_builds
SELECT n, 1 + (n * 7919) % $1::bigint FROM pg_catalog.generate_series(1, $1::bigint * $2::bigint) n
