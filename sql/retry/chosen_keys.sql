-- Purpose: fragment: rows r of lfk.retry that belong to a definition and were asked for. $1 definition, $2 only those in
--   quarantine, $3 the keys' columns one after another (NULL: every key), $4 columns a key.
-- Locks: ACCESS SHARE. Index: retry's primary key, by consumer. Repeat: only reads.
r.consumer IN (SELECT c.consumer FROM lfk.cursor c WHERE c.definition = $1)
   AND (NOT $2::bool OR r.quarantined_at IS NOT NULL)
   AND ($3::text[] IS NULL
        OR r.key IN (SELECT array_agg(u.part ORDER BY u.ord)
                       FROM unnest($3::text[]) WITH ORDINALITY AS u(part, ord) GROUP BY (u.ord - 1) / $4::int8))
