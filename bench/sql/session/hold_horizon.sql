-- Purpose: a snapshot that keeps every dead row from being removed while its transaction is open.
BEGIN ISOLATION LEVEL REPEATABLE READ;
SELECT pg_catalog.count(*) FROM public.doomed;
