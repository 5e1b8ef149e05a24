-- Purpose: the physical limit: one statement deletes all children, and the keys are there already. Locks: the rows.
DELETE FROM public.builds b USING public.doomed d WHERE b.project_id = d.id
