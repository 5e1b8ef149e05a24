-- Purpose: what there is to know about the statement before it in this transaction, which deleted or changed children in one leaf:
--   late: it may have begun after the deadline ($1), and done nothing. This one begins after it, so it is never late unnoticed.
--   may_swallow: a trigger may have made it skip rows silently. ruled: a rule may have made something else of it ($2 its event).
--   kinds: how the child's columns compare.
--   That statement's lock on the leaf keeps all but the clock as it was until the transaction ends.
-- Locks: catalogs only. Index: of the catalogs. Repeat: only reads.
SELECT pg_catalog.statement_timestamp() OPERATOR(pg_catalog.>=) pg_catalog.to_timestamp($1) AS late,
       "{may_swallow}" AS may_swallow,
       "{ruled}" AS ruled,
       "{kinds}" AS kinds
