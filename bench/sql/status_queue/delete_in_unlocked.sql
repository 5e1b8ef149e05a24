-- Purpose: delete at most 1000 children of these parents; leaves locked rows alone. An array instead of a list of literals is parsed faster and
--   planned the same. Index: builds_project. Repeat: until no row is left.
DELETE FROM public.builds WHERE id IN (
  SELECT c.id FROM public.builds c WHERE c.project_id = ANY ($1::bigint[]) LIMIT 1000 FOR UPDATE SKIP LOCKED)
