-- Purpose: fragment: in which bucket a key is, the same on both servers. $4 buckets - 1, of a power of two.
("{hash}" & $4::pg_catalog.int8)
