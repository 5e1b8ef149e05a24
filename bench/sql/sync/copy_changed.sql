-- Purpose: what the noted keys are now; a row of NULL where there is none.
COPY (SELECT c.id, s.owner_id, s.kind, s.name, s.description, s.price, s.archived, s.updated_at
        FROM public.changed c LEFT JOIN public.spaces s ON s.id = c.id) TO STDOUT (FORMAT binary)
