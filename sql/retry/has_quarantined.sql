-- Purpose: whether the definition of a consumer has keys in quarantine. $1 consumer.
-- Locks: ACCESS SHARE. Index: retry_quarantined. Repeat: only reads.
SELECT EXISTS (SELECT FROM lfk.cursor me JOIN lfk.cursor c ON c.definition = me.definition
                 JOIN lfk.retry r ON r.consumer = c.consumer AND r.quarantined_at IS NOT NULL
                WHERE me.consumer = $1) AS found
