-- Purpose: delete at most 1000 children of these parents, by one look at the index a parent; waits for locks. Index: builds_project.
--   Repeat: until no row is left.
DELETE FROM public.builds WHERE id IN (
  SELECT found.id FROM pg_catalog.unnest($1::bigint[]) AS parent(id),
    LATERAL (SELECT c.id FROM public.builds c WHERE c.project_id = parent.id LIMIT 1000) found
  LIMIT 1000)
