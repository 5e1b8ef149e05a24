-- Purpose: the parents that a bench deletes one by one.
SELECT d.id FROM public.doomed d ORDER BY d.id
