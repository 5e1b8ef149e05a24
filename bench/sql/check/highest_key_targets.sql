-- Purpose: the highest key of the targets, for who walks by windows of keys. Index: those of the keys. Repeat: only reads.
SELECT coalesce(greatest((SELECT pg_catalog.max(id) FROM public.path_mirrors), (SELECT pg_catalog.max(id) FROM public.space_mirrors)), 0)
