-- Purpose: the state of a definition, and how many keys it has observed. $1 name.
-- Locks: ACCESS SHARE. Index: primary keys. Repeat: only reads.
SELECT d.state, c.observed_keys FROM lfk.definition d JOIN lfk.cursor c ON c.consumer = d.name WHERE d.name = $1
