-- Purpose: forgets keys that were done at last. $1 consumer, $2 the keys' columns one after another, $3 columns a key.
--   In the transaction of a renewal, after it: the fenced cursor row is locked by us.
-- Locks: rows of lfk.retry. Index: primary key. Repeat: 0 rows.
DELETE FROM lfk.retry r
 USING (SELECT array_agg(u.part ORDER BY u.ord) AS key
          FROM unnest($2::text[]) WITH ORDINALITY AS u(part, ord) GROUP BY (u.ord - 1) / $3::int8) k
 WHERE r.consumer = $1 AND r.key = k.key AND r.quarantined_at IS NULL
