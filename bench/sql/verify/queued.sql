-- Purpose: how often doomed parents are in the queue, and how many of them, and keys that are no doomed parents.
SELECT pg_catalog.count(d.id) AS entries, pg_catalog.count(DISTINCT d.id) AS keys, pg_catalog.count(*) FILTER (WHERE d.id IS NULL) AS others
  FROM public.queue q LEFT JOIN public.doomed d ON d.id = q.parent_key
