-- Purpose: the hash of a fixed row with every type that row hashes are made of. Servers of another byte order or encoding
--   hash differently. The encoding stands there by its name: not every one has letters that show it.
-- Locks: none. Index: none. Repeat: only reads.
SELECT hash_record_extended(ROW(true, 7::int2, 70000::int4, 4000000000::oid, '2001-02-03'::date, '\x00ff10'::bytea,
         ('lfk ' || current_setting('server_encoding')) COLLATE "C", 'a81bc81b-dead-4e5d-abff-90865d1e13b1'::uuid, int8send(1::int8 << 40)), 4711) AS hash
