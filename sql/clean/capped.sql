-- Purpose: fragment: at most so many rows of this one leaf, and none that the application has locked. A ctid says nothing
--   outside its leaf, so the statement around it says ONLY and repeats every predicate.
child.ctid OPERATOR(pg_catalog.=) ANY (ARRAY(
    SELECT child.ctid FROM ONLY "{leaf}" AS child WHERE "{match}" LIMIT $"{limit}" FOR UPDATE SKIP LOCKED))
