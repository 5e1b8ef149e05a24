-- Purpose: some rows of some pages of one leaf: key and hash of those in certain buckets, and of those that were written since
--   the walk began. No hash: the row does not count. $1 seed, $2 and $3 row addresses, $4 buckets - 1, $5 a bit for each bucket,
--   $6 the oldest transaction number that means "since", $7 most rows.
-- Locks: ACCESS SHARE. Index: none, pages by their numbers (TID range scan). Repeat: only reads.
SELECT ARRAY["{texts}"]::text[] AS key, s.lfk_h AS hash
  FROM (SELECT "{keys}", CASE WHEN "{filter}" THEN "{hash}" END AS lfk_h
          FROM ONLY "{leaf}" AS "{alias}" WHERE "{pages}"
           AND (age("{alias}".xmin) <= age($6::text::xid8::xid)
                OR $5::bytea IS NOT NULL AND get_bit($5::bytea, "{bucket}") = 1)
         LIMIT $7::int8) s
