-- Purpose: one statement deletes the parents whose children are to be cleaned. Locks: their rows. Repeat: deletes nothing.
DELETE FROM public.projects p USING public.doomed d WHERE p.id = d.id
