-- Purpose: fragment: one column of a single key.
$"{number}"::pg_catalog.text::pg_catalog."{type}"
