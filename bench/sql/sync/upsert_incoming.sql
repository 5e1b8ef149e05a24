-- Purpose: one statement writes every row that is there. Locks: the rows. Repeat: writes them again.
INSERT INTO public.space_mirrors SELECT * FROM pg_temp.incoming i WHERE i.owner_id IS NOT NULL
ON CONFLICT (id) DO UPDATE SET owner_id = excluded.owner_id, kind = excluded.kind, name = excluded.name, description = excluded.description,
  price = excluded.price, archived = excluded.archived, updated_at = excluded.updated_at
