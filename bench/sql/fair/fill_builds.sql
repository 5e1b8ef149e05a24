-- Purpose: $1 children of parent 1, and $3 of each of the parents 2 to $2 + 1. Repeat: fails.
INSERT INTO public.builds
SELECT n, CASE WHEN n <= $1::bigint THEN 1 ELSE 2 + n % $2::bigint END, (n % 5)::integer, pg_catalog.repeat('y', 70)
  FROM pg_catalog.generate_series(1, $1::bigint + $2::bigint * $3::bigint) n
