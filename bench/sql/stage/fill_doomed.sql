-- Purpose: of the parents 1 to $1 those that a bench deletes: $3 of each $2, spread evenly. Repeat: fails.
INSERT INTO public.doomed SELECT n FROM pg_catalog.generate_series(1, $1::bigint) n WHERE n % $2::bigint < $3::bigint
