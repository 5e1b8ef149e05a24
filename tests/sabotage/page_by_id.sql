-- A broken page: the rows whose id is above the highest that was consumed, in the order of id. Transactions do not commit
-- in the order of their ids, so one that commits late is passed over. The parameters are those of the real page.
WITH c AS MATERIALIZED (
  SELECT k.table_id, k.cur, greatest(k.pos_id, $5::int8, (
           SELECT max(l.id) FROM lfk.key_log l WHERE l.table_id = k.table_id AND pg_visible_in_snapshot(l.xid, k.prev))) AS last
    FROM lfk.cursor k WHERE k.consumer = $1 AND k.token = $2 AND k.cur IS NOT NULL AND $4::text IS NOT NULL AND $6::int8 > 0
)
SELECT '1' AS xid, l.id, l.op::text AS op, l.keys, l.tkeys, 0::int8 AS up_to
  FROM c JOIN lfk.key_log l ON l.table_id = c.table_id AND l.id > c.last AND pg_visible_in_snapshot(l.xid, c.cur)
 ORDER BY l.id LIMIT $3
