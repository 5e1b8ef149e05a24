-- Purpose: fragment: children of any of the keys, by one column.
child."{column}" OPERATOR(pg_catalog.=) ANY ("{keys}")
