-- Purpose: all rows in the order of their key, as they stream. Index: path_mirrors_pkey. Repeat: only reads.
COPY (SELECT id, path FROM public.path_mirrors ORDER BY id) TO STDOUT (FORMAT binary)
