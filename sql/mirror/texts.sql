-- Purpose: fragment: an array of texts as rows.
pg_catalog.unnest($"{number}"::pg_catalog.text[])
