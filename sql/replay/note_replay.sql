-- Purpose: says in the audit that cursors went back. $1 definition, $2 the time that counted as seconds since 1970, $3 the tick they
--   went back to (NULL: the start of the log), $4 whether the child's side was accepted anew.
-- Locks: none. Index: none. Repeat: a second row.
INSERT INTO lfk.audit (definition, event, detail)
VALUES ($1, 'replay', jsonb_build_object('at', to_char(to_timestamp($2::float8) AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'),
                                         'start', $3::text, 'accepted', $4::bool))
