-- Purpose: fragment: a parent's column equals the child's.
parent."{parent_column}" OPERATOR(pg_catalog.=) "{child_value}"
