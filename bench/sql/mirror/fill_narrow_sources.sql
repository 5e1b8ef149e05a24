-- Purpose: narrow rows with the keys 1 to $1 but for one in 3000, which is left free for rows too many. Repeat: fails.
INSERT INTO public.paths SELECT n, ARRAY[1, 1 + n % 97, 100 + n % 9973, n] FROM pg_catalog.generate_series(1, $1::bigint) n WHERE n % 3000 <> 2000
