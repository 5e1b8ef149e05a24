-- Purpose: fragment: rows up to and with a key, all columns compared as one row.
("{columns}") OPERATOR(pg_catalog.<=) ("{keys}")
