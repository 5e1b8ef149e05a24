-- Purpose: hands keys to the sync, due at once, to be repaired: it keeps the rows as they are before it changes them.
--   $1 consumer, $2 the keys' columns one after another, $3 columns a key.
-- Locks: rows of lfk.retry. Index: primary key. Repeat: a key that is set aside already becomes one to repair.
INSERT INTO lfk.retry AS r (consumer, key, reason, repair)
SELECT $1, k.key, 'repair', true
  FROM (SELECT array_agg(u.part ORDER BY u.ord) AS key
          FROM unnest($2::text[]) WITH ORDINALITY AS u(part, ord) GROUP BY (u.ord - 1) / $3::int8) k
ON CONFLICT (consumer, key) DO UPDATE SET repair = true WHERE NOT r.repair
