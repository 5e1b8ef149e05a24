-- Purpose: changes one row, in a transaction of its own.
UPDATE public.spaces SET kind = kind + 1 WHERE id = $1::bigint
