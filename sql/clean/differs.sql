-- Purpose: fragment: the child's column is not yet what it shall become; true for NULL.
(child."{column}" OPERATOR(pg_catalog.=) '{value}') IS NOT TRUE
