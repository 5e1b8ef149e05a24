-- Purpose: fragment: rows by their address: those of a list, or, where parent and child share a database, those that this
--   transaction has just locked. Behind a sub-select the planner does not see how long the list is: for a long one it would
--   rather read all rows of the key, for each slice anew.
child.ctid OPERATOR(pg_catalog.=) ANY (ARRAY(SELECT r.row::pg_catalog.tid FROM pg_catalog.unnest($"{rows}"::pg_catalog.text[]) AS r(row)))
