-- Purpose: nulls or sets columns of children of absent parents in one leaf, unless the deadline has passed.
--   $1 … the columns of the keys, then the deadline, then the row limit or the rows where the form has one.
--   How many there were is in the command tag, as in delete_children.sql. What else has to be known of it says judge_leaf.sql.
-- Locks: ROW EXCLUSIVE on the leaf, the rows. Index: one that leads with the child column.
-- Repeat: rows that are already as they shall be do not match. Never retried at the same size after a timeout, never
--   without a new re-check.
UPDATE ONLY "{leaf}" AS child SET "{assign}"
 WHERE "{match}" AND "{rows}"
   AND pg_catalog.statement_timestamp() OPERATOR(pg_catalog.<) pg_catalog.to_timestamp($"{deadline}")
