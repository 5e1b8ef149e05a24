-- Purpose: fragment: one key column of a row against the key asked for.
"{alias}"."{column}" OPERATOR(pg_catalog.=) lfk_key."{name}"
