-- Purpose: a line of the audit about a repair. $1 definition, $2 event, $3 keys, $4 rows, $5 keys that could not be done.
-- Locks: none. Index: none. Repeat: one line more.
INSERT INTO lfk.audit (definition, event, detail)
VALUES ($1, $2, jsonb_build_object('keys', $3::int8, 'rows', $4::int8, 'failed', $5::int8))
