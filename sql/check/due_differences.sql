-- Purpose: noted differences that may be looked at again. $1 mirror, $2 the moment in seconds, $3 most keys.
-- Locks: ACCESS SHARE. Index: primary key. Repeat: only reads.
SELECT d.key FROM lfk.difference d
 WHERE d.mirror = $1 AND d.last_seen <= clock_timestamp() - make_interval(secs => $2) ORDER BY d.last_seen, d.key LIMIT $3
