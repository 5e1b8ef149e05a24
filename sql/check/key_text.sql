-- Purpose: fragment: a column of a key asked for, as keys travel.
"{row}"."{name}"::pg_catalog.text
