-- Purpose: fragment: the hash of a key that is one uuid.
pg_catalog.uuid_hash_extended("{value}", $1::pg_catalog.int8)
