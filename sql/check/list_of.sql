-- Purpose: fragment: a column of a key as a list, under its name.
pg_catalog.array_agg("{value}") AS "{name}"
