-- Purpose: rows of the queue that are not done.
SELECT pg_catalog.count(*) FROM public.queue WHERE status = 1
