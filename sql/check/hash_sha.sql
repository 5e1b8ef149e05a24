-- Purpose: fragment: the hash of a row where the two servers hash differently: 64 bits of the SHA-256 of its binary form.
('x' || pg_catalog.encode(pg_catalog.substr(pg_catalog.sha256(pg_catalog.record_send(ROW($1::pg_catalog.int8, "{values}"))), 1, 8), 'hex'))::pg_catalog.varbit::pg_catalog.bit(64)::pg_catalog.int8
