-- Purpose: all rows in the order of their key, as they stream. Index: paths_pkey. Repeat: only reads.
COPY (SELECT id, path FROM public.paths ORDER BY id) TO STDOUT (FORMAT binary)
