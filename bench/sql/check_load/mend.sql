-- Purpose: brings damaged rows back as they were. Repeat: changes nothing.
WITH back AS (DELETE FROM public.damaged RETURNING *), gone AS (DELETE FROM public.space_mirrors m USING back b WHERE m.id = -b.id)
INSERT INTO public.space_mirrors SELECT * FROM back
ON CONFLICT (id) DO UPDATE SET owner_id = excluded.owner_id
