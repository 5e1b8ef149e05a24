-- Purpose: forgets keys set aside: their children stay as they are. Says so in the audit, without the keys.
--   $1 to $4 as in chosen_keys.sql.
-- Locks: rows of lfk.retry. Index: retry's primary key, by consumer. Repeat: 0 rows. A key that a worker is trying at this
--   moment may be set aside anew when it fails.
WITH gone AS (
  DELETE FROM lfk.retry r WHERE "{chosen}" RETURNING r.quarantined_at
), noted AS (
  INSERT INTO lfk.audit (definition, event, detail)
  SELECT $1, 'retry_drop', jsonb_build_object('keys', count(*), 'quarantined', count(quarantined_at)) FROM gone HAVING count(*) > 0
)
SELECT count(*) AS keys, 0::int8 AS left_alone FROM gone
