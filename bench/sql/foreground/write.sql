-- Purpose: what an application writes: one child gets another status. Index: builds_pkey.
UPDATE public.builds SET status = status + 1 WHERE id = $1::bigint
