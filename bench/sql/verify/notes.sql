-- Purpose: notes that refer to a doomed parent, all notes, and a digest in which only their references to doomed parents, gone or
--   not, are left out.
SELECT pg_catalog.count(*) FILTER (WHERE d.id IS NOT NULL) AS doomed,
       pg_catalog.count(*) AS kept,
       coalesce(pg_catalog.sum(pg_catalog.hashtextextended(
         ROW(n.id, CASE WHEN d.id IS NULL THEN n.project_id END, n.status, n.payload)::text, 0)), 0)::text AS digest
  FROM public.notes n LEFT JOIN public.doomed d ON d.id = n.project_id
