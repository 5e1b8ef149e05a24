-- Purpose: deletes the parents $1 to $2 one by one, in one transaction.
SELECT public.delete_singly($1::bigint, $2::bigint)
