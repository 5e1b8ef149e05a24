-- Purpose: the parents that children name, in their order, from the index alone. Index: builds_project. Repeat: only reads.
COPY (SELECT project_id FROM public.builds WHERE project_id IS NOT NULL ORDER BY project_id) TO STDOUT (FORMAT binary)
