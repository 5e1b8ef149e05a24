-- Purpose: hands keys to the sync, due at once. $1 consumer, $2 the keys' columns one after another, $3 columns a key.
-- Locks: rows of lfk.retry. Index: primary key. Repeat: keys that are there already stay as they are.
INSERT INTO lfk.retry (consumer, key, reason)
SELECT $1, k.key, 'repair'
  FROM (SELECT array_agg(u.part ORDER BY u.ord) AS key
          FROM unnest($2::text[]) WITH ORDINALITY AS u(part, ord) GROUP BY (u.ord - 1) / $3::int8) k
ON CONFLICT DO NOTHING
