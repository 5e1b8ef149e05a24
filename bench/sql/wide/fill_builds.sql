-- Purpose: $1 children of parent 1 and $2 of some thousand others, mixed. Repeat: fails.
INSERT INTO public.builds
SELECT n, CASE WHEN (n * 7919) % ($1::bigint + $2::bigint) < $1::bigint THEN 1 ELSE 2 + n % 998 END, (n % 5)::integer, pg_catalog.repeat('y', 70)
  FROM pg_catalog.generate_series(1, $1::bigint + $2::bigint) n
