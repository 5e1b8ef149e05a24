-- Purpose: fragment: the hash of a key that is one integer. It folds to 32 bits, of which a bucket needs fewer.
pg_catalog.hashint8extended("{value}", $1::pg_catalog.int8)
