-- Purpose: orphans, all others with a digest of what writers do not change, and the sum of what they do.
SELECT pg_catalog.count(*) FILTER (WHERE d.id IS NOT NULL) AS doomed,
       pg_catalog.count(*) FILTER (WHERE d.id IS NULL) AS kept,
       coalesce(pg_catalog.sum(pg_catalog.hashtextextended(ROW(b.id, b.project_id, b.payload)::text, 0)) FILTER (WHERE d.id IS NULL), 0)::text AS digest,
       coalesce(pg_catalog.sum(b.status) FILTER (WHERE d.id IS NULL), 0)::bigint AS written
  FROM public.builds b LEFT JOIN public.doomed d ON d.id = b.project_id
