-- Purpose: how many of some keys still wait for the sync. $1 consumer, $2 the keys' columns one after another, $3 columns a key.
-- Locks: ACCESS SHARE. Index: primary key. Repeat: only reads.
SELECT count(*) AS waiting
  FROM (SELECT array_agg(u.part ORDER BY u.ord) AS key
          FROM unnest($2::text[]) WITH ORDINALITY AS u(part, ord) GROUP BY (u.ord - 1) / $3::int8) k
  JOIN lfk.retry r ON r.consumer = $1 AND r.key = k.key AND r.quarantined_at IS NULL
