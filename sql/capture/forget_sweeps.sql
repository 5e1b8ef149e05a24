-- Purpose: a changed definition has other children: what was swept before stands for nothing. $1 definition.
-- Locks: the rows. Index: primary key. Repeat: 0 rows.
DELETE FROM lfk.sweep s USING lfk.cursor c WHERE c.definition = $1 AND s.consumer = c.consumer
