-- Purpose: fragment: the hash of a row, 64 bits, from values that were guarded by their types.
pg_catalog.hash_record_extended(ROW("{values}"), $1::pg_catalog.int8)
