-- Purpose: every batch in its order.
SELECT extract(epoch FROM b.at)::float8, b.deleted FROM public.batch b ORDER BY b.at
