-- Purpose: the rows of some pages of one leaf, added up by the bucket of their key; one answer with a list for each column.
--   $1 seed, $2 and $3 row addresses, $4 buckets - 1. Rows that do not pass the filter are read and do not count.
-- Locks: ACCESS SHARE. Index: none, pages by their numbers (TID range scan). Repeat: only reads.
SELECT COALESCE(sum(g.read), 0)::int8 AS read,
       COALESCE(array_agg(g.bucket), ARRAY[]::int8[]) AS buckets, COALESCE(array_agg(g.counted), ARRAY[]::int8[]) AS counted,
       COALESCE(array_agg(g.xor), ARRAY[]::int8[]) AS xor, COALESCE(array_agg(g.low), ARRAY[]::int8[]) AS low
  FROM (SELECT r.bucket, count(*) AS read, count(r.lfk_h) AS counted, COALESCE(bit_xor(r.lfk_h), 0) AS xor,
               COALESCE(sum(r.lfk_h & 4294967295), 0)::int8 AS low
          FROM (SELECT "{bucket}" AS bucket, CASE WHEN "{filter}" THEN "{hash}" END AS lfk_h
                  FROM ONLY "{leaf}" AS "{alias}" WHERE "{pages}") r
         GROUP BY r.bucket) g
