-- Purpose: fragment: one column of the keys, cast from text to the parent's type, never to the child's: one key that does
--   not fit a smaller type would fail the whole batch.
$"{number}"::pg_catalog.text[]::pg_catalog."{type}"[]
