-- Purpose: fragment: the declared condition on a child column.
child."{column}" OPERATOR(pg_catalog.=) '{value}'
