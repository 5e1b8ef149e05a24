-- Purpose: the rows whose keys are from $1 to below $2. Index: path_mirrors_pkey. Repeat: only reads.
SELECT id, path FROM public.path_mirrors WHERE id >= $1::bigint AND id < $2::bigint ORDER BY id
