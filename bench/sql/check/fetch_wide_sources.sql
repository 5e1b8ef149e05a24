-- Purpose: the rows whose keys are from $1 to below $2. Index: spaces_pkey. Repeat: only reads.
SELECT id, owner_id, kind, name, description, price, archived, updated_at FROM public.spaces WHERE id >= $1::bigint AND id < $2::bigint ORDER BY id
