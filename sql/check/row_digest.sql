-- Purpose: fragment: what stands for the values of a row: equal only when they are.
pg_catalog.encode(pg_catalog.sha256(pg_catalog.record_send(ROW("{values}"))), 'hex')
