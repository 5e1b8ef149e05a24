-- Purpose: whether each definition has anything left, for `--until-drained`; a fill that is under way counts as one key. The seq tells whether anybody worked between
--   two looks. A paused definition counts as having nothing left; what its trailing pass has in quarantine counts too.
-- Locks: ACCESS SHARE. Index: key_log_position by way of the fragment, retry_due. Repeat: only reads.
SELECT d.name, d.state, d.condition, d.note, c.seq, k.stopped,
       (d.state IN ('active', 'observe') AND (c.cur IS NOT NULL OR "{unseen}")) AS log_work,
       (SELECT count(*) FROM lfk.retry r WHERE r.consumer = c.consumer AND r.quarantined_at IS NULL)
       + (SELECT count(*) FROM lfk.sweep s WHERE s.consumer = c.consumer AND NOT s.done) AS retries,
       (SELECT count(*) FROM lfk.cursor o JOIN lfk.retry r ON r.consumer = o.consumer AND r.quarantined_at IS NOT NULL
         WHERE o.definition = d.name) AS quarantined
  FROM lfk.cursor c JOIN lfk.definition d ON d.name = c.definition CROSS JOIN lfk.control k
 WHERE c.settle IS NULL
 ORDER BY d.name
