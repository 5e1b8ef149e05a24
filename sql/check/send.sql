-- Purpose: fragment: a value in its binary form, which keeps everything that hashes of the value itself fold together.
pg_catalog."{send}"("{value}")
