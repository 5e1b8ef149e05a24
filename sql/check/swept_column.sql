-- Purpose: fragment: one column of the position of a sweep.
w.behind["{number}"]::pg_catalog."{type}"
