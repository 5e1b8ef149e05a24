-- Purpose: makes keys set aside due at once, in quarantine or not, as if they had never been tried; and says so in the
--   audit, without the keys. $1 to $4 as in chosen_keys.sql.
--   A suspect of a sweep keeps its wait: that is what tells an orphan from a child committed before its parent.
-- Locks: rows of lfk.retry. Index: retry's primary key, by consumer. Repeat: yes.
WITH chosen AS MATERIALIZED (
  SELECT r.consumer, r.key, r.reason = 'suspect' AS suspect FROM lfk.retry r WHERE "{chosen}"
), due AS (
  UPDATE lfk.retry r SET quarantined_at = NULL, attempts = 0, blamed = 0, not_before = clock_timestamp()
    FROM chosen c WHERE r.consumer = c.consumer AND r.key = c.key AND r.reason <> 'suspect'
  RETURNING 1
), noted AS (
  INSERT INTO lfk.audit (definition, event, detail)
  SELECT $1, 'retry_now', jsonb_build_object('keys', count(*)) FROM due HAVING count(*) > 0
)
SELECT (SELECT count(*) FROM due) AS keys, (SELECT count(*) FROM chosen WHERE suspect) AS left_alone
