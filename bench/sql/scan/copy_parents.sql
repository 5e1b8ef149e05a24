-- Purpose: the parents as they lie. Repeat: only reads.
COPY (SELECT id FROM public.projects) TO STDOUT (FORMAT binary)
