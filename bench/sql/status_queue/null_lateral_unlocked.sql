-- Purpose: null at most 500 children of these parents, by one look at the index a parent; leaves locked rows alone. Index: notes_project.
--   Repeat: until no row is left.
UPDATE public.notes SET project_id = NULL WHERE id IN (
  SELECT found.id FROM pg_catalog.unnest($1::bigint[]) AS parent(id),
    LATERAL (SELECT c.id FROM public.notes c WHERE c.project_id = parent.id LIMIT 500 FOR UPDATE SKIP LOCKED) found
  LIMIT 500)
