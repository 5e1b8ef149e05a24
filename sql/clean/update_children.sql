-- Purpose: nulls or sets columns of children of absent parents in one leaf, unless the deadline has passed.
--   $1 … the columns of the keys, then the deadline, then the row limit or the rows where the form has one.
-- Locks: ROW EXCLUSIVE on the leaf, the rows. Index: one that leads with the child column.
-- Repeat: rows that are already as they shall be do not match. Never retried at the same size after a timeout, never
--   without a new re-check.
WITH gone AS (
  UPDATE ONLY "{leaf}" AS child SET "{assign}"
   WHERE "{match}" AND "{rows}"
     AND pg_catalog.statement_timestamp() OPERATOR(pg_catalog.<) pg_catalog.to_timestamp($"{deadline}")
  RETURNING 1
)
SELECT (SELECT pg_catalog.count(*) FROM gone) AS rows,
       pg_catalog.statement_timestamp() OPERATOR(pg_catalog.>=) pg_catalog.to_timestamp($"{deadline}") AS late,
       "{may_swallow}" AS may_swallow,
       "{kinds}" AS kinds
