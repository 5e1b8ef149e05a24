-- Purpose: deletes children of absent parents in one leaf, unless the deadline has passed.
--   $1 … the columns of the keys, then the deadline, then the row limit or the rows where the form has one.
--   How many went is in the command tag: RETURNING would fetch every row once more, a quarter of the whole time. What else has to be
--   known of it says judge_leaf.sql.
-- Locks: ROW EXCLUSIVE on the leaf, the rows. Index: one that leads with the child column.
-- Repeat: a second run finds nothing. Never retried at the same size after a timeout, never without a new re-check.
DELETE FROM ONLY "{leaf}" AS child
 WHERE "{match}" AND "{rows}"
   AND pg_catalog.statement_timestamp() OPERATOR(pg_catalog.<) pg_catalog.to_timestamp($"{deadline}")
