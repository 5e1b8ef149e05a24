-- Purpose: of the noted keys 80 % are updated, 10 % deleted, 10 % new rows inserted. Repeat: fails.
UPDATE public.spaces s SET name = s.name || '!', price = s.price + 1 FROM public.changed c WHERE s.id = c.id AND c.id % 10 < 8;
DELETE FROM public.spaces s USING public.changed c WHERE s.id = c.id AND c.id % 10 = 8;
INSERT INTO public.spaces SELECT -c.id, c.id, 1, 'new ' || c.id, NULL, 1.5, false, timestamptz '2026-02-02 00:00+00' FROM public.changed c WHERE c.id % 10 = 9;
UPDATE public.changed SET id = -id WHERE id % 10 = 9;
