-- Purpose: fragment: one column of the keys as rows. With a schema in front, unnest takes only one array, so the columns
--   of composite keys stand side by side in ROWS FROM.
pg_catalog.unnest("{keys}")
