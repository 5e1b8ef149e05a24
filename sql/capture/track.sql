-- Purpose: has the keys of a table logged. $1 table, quoted and qualified, $2 key columns, $3 the mirror that it is the source
--   of and $4 the columns to watch for it (NULL: only keys that go), $5 names of which some may be
--   columns to watch.
-- Locks: see lfk.track. Repeat: yes.
SELECT lfk.track($1::text::regclass, $2, $3, $4, $5)
