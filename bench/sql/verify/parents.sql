-- Purpose: doomed parents that are there, and count and digest of all others.
SELECT pg_catalog.count(*) FILTER (WHERE d.id IS NOT NULL) AS doomed,
       pg_catalog.count(*) FILTER (WHERE d.id IS NULL) AS kept,
       coalesce(pg_catalog.sum(pg_catalog.hashtextextended(p::text, 0)) FILTER (WHERE d.id IS NULL), 0)::text AS digest
  FROM public.projects p LEFT JOIN public.doomed d ON d.id = p.id
