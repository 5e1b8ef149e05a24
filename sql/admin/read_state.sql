-- Purpose: the state of a definition, whether the kill switch is on, and how many keys it has observed. $1 name.
-- Locks: ACCESS SHARE. Index: primary keys. Repeat: only reads.
SELECT d.state, (SELECT k.stopped FROM lfk.control k) AS stopped, c.observed_keys FROM lfk.definition d JOIN lfk.cursor c ON c.consumer = d.name WHERE d.name = $1
