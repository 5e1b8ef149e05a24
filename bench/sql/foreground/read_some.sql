-- Purpose: children that stay, for readers and writers.
SELECT b.id, b.project_id FROM public.builds b LEFT JOIN public.doomed d ON d.id = b.project_id WHERE d.id IS NULL ORDER BY b.id LIMIT 20000
