-- Purpose: fragment: rows in these pages of the leaf, from the first place of one to the last of another. Behind CASE the planner does
--   not see that an index knows the key too: it would read all rows of the key for each piece of the way.
--   The key stands in the same statement, so no row of another is touched.
CASE WHEN "{match}" THEN true END
AND child.ctid OPERATOR(pg_catalog.>=) $"{first}"::pg_catalog.text::pg_catalog.tid
AND child.ctid OPERATOR(pg_catalog.<=) $"{last}"::pg_catalog.text::pg_catalog.tid
