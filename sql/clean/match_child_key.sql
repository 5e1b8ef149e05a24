-- Purpose: fragment: a child's column equals that of one unnested key.
child."{column}" OPERATOR(pg_catalog.=) k."{name}"
