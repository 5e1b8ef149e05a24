-- Purpose: of each 3000 rows of the target one is missing, one differs in one column, and one is too many. Repeat: fails.
DELETE FROM public.space_mirrors WHERE id % 3000 = 0;
UPDATE public.space_mirrors SET updated_at = updated_at + interval '1 microsecond' WHERE id % 3000 = 1000;
INSERT INTO public.space_mirrors SELECT id + 1, owner_id, kind, name, description, price, archived, updated_at FROM public.space_mirrors WHERE id % 3000 = 1999;
