-- Purpose: the last column of an opening statement: whether the session is the one in which this connection has left its value. A
--   pooler that nobody declared hands out other sessions, where prepared statements of the same name belong to others.
--   An error when it is not: the cast of the text fails, and at no other place of an opening can this error occur.
-- Why these: the driver does not say which session a connection has, so the session itself must.
-- Locks: none. Index: none. Repeat: only reads.
(CASE WHEN pg_catalog.current_setting('lfk.session', true) OPERATOR(pg_catalog.=) '{session}' THEN '1'
      ELSE 'another session than the one this client has opened: is there a transaction pooler in between?'
 END)::pg_catalog.int4
