-- Purpose: these rows of the queue are done. Locks: the rows. Repeat: changes nothing.
UPDATE public.queue SET status = 2 WHERE status = 1 AND part = 1 AND id = ANY ($1::bigint[])
