-- Purpose: fragment: a text that is compared, sorted and hashed byte by byte, whatever its column's collation.
("{value}")::pg_catalog.text COLLATE pg_catalog."C"
