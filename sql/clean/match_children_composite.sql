-- Purpose: fragment: children of any of the keys, by several columns. A child with a NULL among them matches nothing.
("{columns}") OPERATOR(pg_catalog.=) ANY (SELECT * FROM ROWS FROM ("{keys}") AS k)
