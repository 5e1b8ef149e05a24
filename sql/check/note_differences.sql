-- Purpose: notes proven differences, as many as the mirror may have; those that are noted are seen once more if a moment has
--   passed. Answers with those that were noted or seen now. $1 mirror, $2 the keys' columns one after another, $3 columns a key,
--   $4 the class of each key, $5 how many a mirror may have (those of this call may go beyond), $6 the moment in seconds.
-- Locks: rows of lfk.difference; the definition's FOR KEY SHARE. Index: primary keys. Repeat: within the moment 0 rows.
INSERT INTO lfk.difference AS d (mirror, key, class)
SELECT $1, k.key, ($4::text[])[k.place]
  FROM (SELECT array_agg(u.part ORDER BY u.ord) AS key, (u.place + 1)::int4 AS place
          FROM (SELECT x.part, x.ord, (x.ord - 1) / $3::int8 AS place
                  FROM unnest($2::text[]) WITH ORDINALITY AS x(part, ord)) u
         GROUP BY u.place) k
 WHERE (SELECT count(*) FROM lfk.difference n WHERE n.mirror = $1) < $5::int8
    OR EXISTS (SELECT FROM lfk.difference n WHERE n.mirror = $1 AND n.key = k.key)
 ORDER BY k.key
ON CONFLICT (mirror, key) DO UPDATE SET class = excluded.class, looks = d.looks + 1, last_seen = clock_timestamp()
 WHERE d.last_seen <= clock_timestamp() - make_interval(secs => $6)
RETURNING key, class, looks::int8 AS looks, handed::int8 AS handed
