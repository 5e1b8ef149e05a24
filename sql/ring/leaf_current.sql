-- Purpose: whether new rows may go to a leaf now or within half a minute, by the server's clock. $1 number of the leaf; -1 is
--   the DEFAULT leaf, which takes what a missing leaf would have.
-- Locks: none. Index: none. Repeat: only reads.
SELECT CASE WHEN $1::int4 < 0
            THEN EXISTS (SELECT FROM generate_series(0, 7) n WHERE to_regclass('lfk.key_log_' || n) IS NULL)
            ELSE $1::int4 IN ((extract(epoch FROM clock_timestamp())::bigint / 14400) % 8,
                              (extract(epoch FROM clock_timestamp() + interval '30 s')::bigint / 14400) % 8) END AS current
