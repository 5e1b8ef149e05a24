-- Purpose: whether new rows may go to a leaf now or within half a minute, by the server's clock. $1 number of the leaf; -1 is
--   the DEFAULT leaf, which takes what a missing leaf would have; a leaf that was detached is missing too.
-- Locks: none. Index: pg_inherits by child. Repeat: only reads.
SELECT CASE WHEN $1::int4 < 0
            THEN EXISTS (SELECT FROM generate_series(0, 7) n
                          WHERE NOT EXISTS (SELECT FROM pg_inherits i WHERE i.inhparent = 'lfk.key_log'::regclass
                                               AND i.inhrelid = to_regclass('lfk.key_log_' || n)))
            ELSE $1::int4 IN ((extract(epoch FROM clock_timestamp())::bigint / 14400) % 8,
                              (extract(epoch FROM clock_timestamp() + interval '30 s')::bigint / 14400) % 8) END AS current
