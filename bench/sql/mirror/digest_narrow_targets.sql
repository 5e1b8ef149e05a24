-- Purpose: count and digest of all rows. Repeat: only reads.
SELECT pg_catalog.count(*), coalesce(pg_catalog.sum(pg_catalog.hashtextextended(r::text, 0)), 0)::text FROM public.path_mirrors r
