-- Purpose: says in the audit that the fence of a target was ahead of the cursor. $1 mirror, $2 the token, $3 the fence.
-- Locks: none. Index: none. Repeat: a second row.
INSERT INTO lfk.audit (definition, event, detail) VALUES ($1, 'fence_ahead', jsonb_build_object('token', $2::bigint, 'fence', $3::bigint))
