-- Purpose: fragment: rows of some pages: $2 the first row address, $3 the address behind the last.
"{alias}".ctid OPERATOR(pg_catalog.>=) $2::pg_catalog.text::pg_catalog.tid AND "{alias}".ctid OPERATOR(pg_catalog.<) $3::pg_catalog.text::pg_catalog.tid
