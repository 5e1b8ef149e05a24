-- Purpose: deletes the parent with very many children.
DELETE FROM public.projects WHERE id = 1
