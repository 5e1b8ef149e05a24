-- Purpose: a changed mirror was never checked: what is known of the one before says nothing. $1 definition.
-- Locks: the rows. Index: primary keys. Repeat: 0 rows.
WITH known AS (DELETE FROM lfk.difference WHERE mirror = $1)
DELETE FROM lfk.mirror_check WHERE mirror = $1
