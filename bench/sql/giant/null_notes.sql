-- Purpose: the physical limit: one statement nulls all references, and the keys are there already. Locks: the rows.
UPDATE public.notes n SET project_id = NULL FROM public.doomed d WHERE n.project_id = d.id
