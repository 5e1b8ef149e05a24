-- Purpose: how many noted differences of each class a mirror has. $1 mirror.
-- Locks: ACCESS SHARE. Index: primary key. Repeat: only reads.
SELECT count(*) FILTER (WHERE d.class = 'missing') AS missing, count(*) FILTER (WHERE d.class = 'different') AS different,
       count(*) FILTER (WHERE d.class = 'extra') AS extra
  FROM lfk.difference d WHERE d.mirror = $1
