-- Purpose: keys set aside, those in quarantine first. $1 to $4 as in chosen_keys.sql, $5 row limit.
--   The only statement that hands keys to a person.
-- Locks: ACCESS SHARE. Index: retry's primary key, by consumer; sorts what it finds. Repeat: only reads.
SELECT r.consumer <> $1 AS trailing, r.key, r.reason, r.sqlstate, r.error, r.attempts::int8 AS attempts,
       to_char(r.created_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS set_aside_at,
       to_char(r.not_before AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS not_before,
       to_char(r.quarantined_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"') AS quarantined_at
  FROM lfk.retry r
 WHERE "{chosen}"
 ORDER BY r.quarantined_at IS NULL, r.created_at, r.key, r.consumer LIMIT $5::int8
