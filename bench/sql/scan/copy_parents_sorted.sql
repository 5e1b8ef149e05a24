-- Purpose: the parents in their order, from the index alone. Index: projects_pkey. Repeat: only reads.
COPY (SELECT id FROM public.projects ORDER BY id) TO STDOUT (FORMAT binary)
