-- Purpose: null at most 500 children of these parents; leaves locked rows alone. An array instead of a list of literals is parsed faster and
--   planned the same. Index: notes_project. Repeat: until no row is left.
UPDATE public.notes SET project_id = NULL WHERE id IN (
  SELECT c.id FROM public.notes c WHERE c.project_id = ANY ($1::bigint[]) LIMIT 500 FOR UPDATE SKIP LOCKED)
