-- Purpose: in the target, of rows with keys divisible by 100, which no writer touches: some are missing, some differ, some are
--   too many, other ones in each round $1. Keeps what was there. Repeat: fails, for the rows too many are there already.
WITH chosen AS (
  SELECT m.* FROM public.space_mirrors m WHERE m.id % 100 = 0 AND (m.id / 100) % 100 = $1::bigint % 100
), kept AS (
  INSERT INTO public.damaged SELECT * FROM chosen
), missing AS (
  DELETE FROM public.space_mirrors m USING chosen c WHERE m.id = c.id AND (c.id / 10000) % 2 = 0 RETURNING m.id
), different AS (
  UPDATE public.space_mirrors m SET owner_id = m.owner_id + 4294967296 FROM chosen c WHERE m.id = c.id AND (c.id / 10000) % 2 = 1 RETURNING m.id
), extra AS (
  INSERT INTO public.space_mirrors SELECT -c.id, c.owner_id, c.kind, c.name, c.description, c.price, c.archived, c.updated_at FROM chosen c RETURNING id
)
SELECT (SELECT pg_catalog.count(*) FROM missing), (SELECT pg_catalog.count(*) FROM different), (SELECT pg_catalog.count(*) FROM extra)
