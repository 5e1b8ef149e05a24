-- Purpose: forgets differences that are none any more. $1 mirror, $2 the keys' columns one after another, $3 columns a key.
-- Locks: rows of lfk.difference. Index: primary key. Repeat: 0 rows.
DELETE FROM lfk.difference d
 USING (SELECT array_agg(u.part ORDER BY u.ord) AS key
          FROM unnest($2::text[]) WITH ORDINALITY AS u(part, ord) GROUP BY (u.ord - 1) / $3::int8) k
 WHERE d.mirror = $1 AND d.key = k.key
