-- Purpose: a pass has come to the end of both tables. $1 mirror, $2 owner, $3 rows compared, $4 missing, $5 different, $6 extra,
--   $7 whether something could be said of every key: only then has every row been looked at since it began.
-- Locks: one row. Index: primary key. Repeat: 0 rows.
UPDATE lfk.mirror_check
   SET pass_started_at = running_since, pass_finished_at = clock_timestamp(), running_since = NULL,
       checked_rows = $3, missing = $4, different = $5, extra = $6,
       oldest_unverified_at = CASE WHEN $7 THEN running_since ELSE oldest_unverified_at END
 WHERE mirror = $1 AND owner = $2 AND running_since IS NOT NULL
