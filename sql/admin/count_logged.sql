-- Purpose: keys that the log still keeps for a definition's table, counting at most $2 rows. $1 name.
-- Locks: ACCESS SHARE. Index: key_log_position. Repeat: only reads.
SELECT coalesce(sum(s.keys), 0)::int8 AS keys
  FROM (SELECT coalesce(cardinality(l.keys), cardinality(l.tkeys) / cardinality(t.key_columns)) AS keys
          FROM lfk.definition d JOIN lfk.tracked t USING (table_id) JOIN lfk.key_log l ON l.table_id = d.table_id
         WHERE d.name = $1 LIMIT $2) s
