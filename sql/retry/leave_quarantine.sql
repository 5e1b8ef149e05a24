-- Purpose: keys that were in the log once more, and were done this time, leave quarantine: their children are gone, or
--   their parents are back. $1 consumer, $2 the keys' columns one after another, $3 columns a key.
--   In a transaction that has proven the lease.
-- Locks: rows of lfk.retry. Index: retry_quarantined. Repeat: 0 rows.
DELETE FROM lfk.retry r
 USING lfk.cursor me, lfk.cursor c,
       (SELECT array_agg(u.part ORDER BY u.ord) AS key
          FROM unnest($2::text[]) WITH ORDINALITY AS u(part, ord) GROUP BY (u.ord - 1) / $3::int8) k
 WHERE me.consumer = $1 AND c.definition = me.definition AND r.consumer = c.consumer AND r.key = k.key
   AND r.quarantined_at IS NOT NULL
