-- Purpose: fragment: the next rows of one side in the order of the key: the key, and the row's hash where the row counts.
--   $1 seed, $2 rows to read. Rows that do not pass the filter are read, bounded like others, and have no hash.
SELECT "{keys}", CASE WHEN "{filter}" THEN "{hash}" END AS lfk_h
  FROM "{table}" AS "{alias}" WHERE "{bounds}" ORDER BY "{order}" LIMIT $2::pg_catalog.int8
