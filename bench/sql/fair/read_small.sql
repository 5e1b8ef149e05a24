-- Purpose: when the last children of small parents were deleted, and how many there were.
SELECT extract(epoch FROM pg_catalog.max(s.at))::float8, coalesce(pg_catalog.sum(s.deleted), 0)::bigint FROM public.small s
