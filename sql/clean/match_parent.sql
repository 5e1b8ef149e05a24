-- Purpose: fragment: a parent's column equals a key's.
parent."{column}" OPERATOR(pg_catalog.=) k."{name}"
