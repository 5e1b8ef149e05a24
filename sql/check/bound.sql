-- Purpose: fragment: a column of a bound that was set for this transaction. The same for all rows, so that an index takes it.
(pg_catalog.current_setting('{setting}')::pg_catalog.text[])["{number}"]::pg_catalog."{type}"
