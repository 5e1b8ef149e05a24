-- Purpose: deletes the parents $1 to $2 in one statement.
DELETE FROM public.projects WHERE id BETWEEN $1::bigint AND $2::bigint
