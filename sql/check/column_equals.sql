-- Purpose: fragment: one column of the key is that of the key asked for.
"{column}" OPERATOR(pg_catalog.=) q."{name}"
