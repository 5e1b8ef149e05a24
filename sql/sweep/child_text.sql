-- Purpose: fragment: a column of the child as keys travel.
child."{column}"::pg_catalog.text
