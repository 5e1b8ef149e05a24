-- Purpose: all rows in the order of their key, as they stream. Index: space_mirrors_pkey. Repeat: only reads.
COPY (SELECT id, owner_id, kind, name, description, price, archived, updated_at FROM public.space_mirrors ORDER BY id) TO STDOUT (FORMAT binary)
