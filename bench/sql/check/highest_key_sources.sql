-- Purpose: the highest key of the sources, for who walks by windows of keys. Index: those of the keys. Repeat: only reads.
SELECT coalesce(greatest((SELECT pg_catalog.max(id) FROM public.paths), (SELECT pg_catalog.max(id) FROM public.spaces)), 0)
