-- Purpose: child keys without a parent: looked at again after the settle time and the barrier, and cleaned like any other.
--   $1 consumer, $2 the keys' columns one after another, $3 columns a key, $4 settle in seconds, $5 the barrier.
--   In a transaction that has proven the lease, with the position of the sweep.
-- Locks: rows of lfk.retry. Index: primary key. Repeat: 0 rows.
INSERT INTO lfk.retry (consumer, key, reason, not_before, barrier)
SELECT $1, k.key, 'suspect', clock_timestamp() + make_interval(secs => $4), $5::text::xid8
  FROM (SELECT array_agg(u.part ORDER BY u.ord) AS key
          FROM unnest($2::text[]) WITH ORDINALITY AS u(part, ord) GROUP BY (u.ord - 1) / $3::int8) k
ON CONFLICT DO NOTHING
