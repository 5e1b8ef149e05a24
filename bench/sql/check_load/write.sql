-- Purpose: what an application writes: one row gets other values. Index: spaces_pkey.
UPDATE public.spaces SET kind = kind + 1, name = 'space ' || id || ' ' || kind, updated_at = pg_catalog.now() WHERE id = $1::bigint
