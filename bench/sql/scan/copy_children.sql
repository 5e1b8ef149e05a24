-- Purpose: the parents that children name, as they lie. Repeat: only reads.
COPY (SELECT project_id FROM public.builds WHERE project_id IS NOT NULL) TO STDOUT (FORMAT binary)
