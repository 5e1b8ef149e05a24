-- Purpose: the keys that will be changed: the first $1. Repeat: fails.
INSERT INTO public.changed SELECT n FROM pg_catalog.generate_series(1, $1::bigint) n
