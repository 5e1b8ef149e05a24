-- Purpose: rows of the target as they were before they were damaged. Repeat: fails.
CREATE TABLE public.damaged (LIKE public.space_mirrors)
