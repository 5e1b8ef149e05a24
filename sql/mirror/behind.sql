-- Purpose: fragment: rows behind a key, all columns compared as one row.
("{columns}") OPERATOR(pg_catalog.>) ("{keys}")
