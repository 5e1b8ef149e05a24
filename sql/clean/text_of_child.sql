-- Purpose: fragment, only where parent and child share a database: a child's text without the collation of its column. Two
--   columns of different collations cannot be compared; so the parent's alone decides, as it does for the keys of the log,
--   and its index is used.
pg_catalog.textin(pg_catalog.textout(child."{column}"))
