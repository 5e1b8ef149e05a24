-- Purpose: the distinct keys of the next rows of one leaf of the child in the order of its own key, where no index leads to
--   the child columns. `rows` counts those that the definition means; `last` is where the next call goes on.
--   $1 … the last row's own key, column by column, where there is one; then the row limit.
-- Locks: ACCESS SHARE. Index: the leaf's primary key, or another unique one without NULLs. Repeat: only reads.
WITH s AS MATERIALIZED (
  SELECT ARRAY["{texts}"]::pg_catalog.text[] AS key, ("{keep}") IS TRUE AS keep,
         ARRAY["{place_texts}"]::pg_catalog.text[] AS place, pg_catalog.row_number() OVER (ORDER BY "{place}") AS n
    FROM ONLY "{leaf}" AS child WHERE "{behind}" ORDER BY "{place}" LIMIT $"{limit}"
)
SELECT s.key, pg_catalog.count(*) FILTER (WHERE s.keep) AS rows, (SELECT pg_catalog.count(*) FROM s) AS read,
       (SELECT l.place FROM s AS l ORDER BY l.n DESC LIMIT 1) AS last
  FROM s GROUP BY s.key
