-- Purpose: of each 3000 rows of the target one is missing, one differs, and one is too many. Repeat: fails.
DELETE FROM public.path_mirrors WHERE id % 3000 = 0;
UPDATE public.path_mirrors SET path = path || 4294967296 WHERE id % 3000 = 1000;
INSERT INTO public.path_mirrors SELECT id + 1, ARRAY[1] FROM public.path_mirrors WHERE id % 3000 = 1999;
