-- Purpose: rows of eight columns with the keys 1 to $1 but for one in 3000, which is left free for rows too many. Repeat: fails.
INSERT INTO public.spaces
SELECT n, 1 + n % 9973, (n % 7)::integer, 'space ' || n, CASE WHEN n % 11 > 0 THEN pg_catalog.repeat('d', (20 + n % 50)::integer) END, (n % 100000) / 100.0,
       n % 5 = 0, timestamptz '2026-01-01 00:00+00' + n * interval '1.001 second'
  FROM pg_catalog.generate_series(1, $1::bigint) n WHERE n % 3000 <> 2000
