-- Purpose: counts that differences were handed to the sync. $1 mirror, $2 the keys' columns one after another, $3 columns a key.
--   In the transaction that hands them over.
-- Locks: rows of lfk.difference. Index: primary key. Repeat: counts once more.
UPDATE lfk.difference d SET handed = d.handed + 1
  FROM (SELECT array_agg(u.part ORDER BY u.ord) AS key
          FROM unnest($2::text[]) WITH ORDINALITY AS u(part, ord) GROUP BY (u.ord - 1) / $3::int8) k
 WHERE d.mirror = $1 AND d.key = k.key
