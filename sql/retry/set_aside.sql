-- Purpose: sets keys aside with the reason, or notes a further attempt; a key is quarantined after $8 attempts that failed
--   by its own fault. Attempts that met a lock, and the slices of a wide parent, never count.
--   $1 consumer, $2 the keys' columns one after another, $3 columns a key, $4 reason, $5 sqlstate, $6 error,
--   $7 longest wait in seconds, $8 attempts (NULL: never quarantined, because the key is not to blame).
--   In the transaction of the advance, after it: the fenced cursor row is locked by us.
-- The wait doubles from one second up to the longest, with a quarter of jitter at both ends, so that keys set aside
--   together do not come back together.
-- Locks: rows of lfk.retry. Index: primary key. Repeat: counts one attempt more.
INSERT INTO lfk.retry AS r (consumer, key, reason, sqlstate, error, attempts, blamed, not_before, quarantined_at)
SELECT $1, k.key, $4, $5, $6, 1, ($8::int4 IS NOT NULL)::int4,
       clock_timestamp() + make_interval(secs => least($7::float8 * (1 - random() / 4), 1 + random() / 4)),
       CASE WHEN $8::int4 <= 1 THEN clock_timestamp() END
  FROM (SELECT array_agg(u.part ORDER BY u.ord) AS key
          FROM unnest($2::text[]) WITH ORDINALITY AS u(part, ord) GROUP BY (u.ord - 1) / $3::int8) k
ON CONFLICT (consumer, key) DO UPDATE
   SET reason = excluded.reason, sqlstate = excluded.sqlstate, error = excluded.error, attempts = r.attempts + 1,
       blamed = r.blamed + excluded.blamed, tried_at = clock_timestamp(), barrier = NULL,
       not_before = clock_timestamp()
         + make_interval(secs => least($7::float8 * (1 - random() / 4), 2.0 ^ least(r.attempts, 20) * (1 + random() / 4))),
       quarantined_at = coalesce(r.quarantined_at, CASE WHEN r.blamed + 1 >= $8::int4 THEN clock_timestamp() END)
