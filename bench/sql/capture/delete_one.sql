-- Purpose: deletes one parent, in a transaction of its own.
DELETE FROM public.projects WHERE id = $1::bigint
