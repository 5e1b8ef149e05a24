-- Purpose: adds to what the second look at synced keys has found. $1 mirror, $2 keys that it can say something of, $3 of these
--   differ.
-- Locks: one row; the definition's FOR KEY SHARE. Index: primary keys. Repeat: counts once more.
INSERT INTO lfk.mirror_check AS c (mirror, recent_checked, recent_confirmed)
SELECT d.name, $2, $3 FROM lfk.definition d WHERE d.name = $1
ON CONFLICT (mirror) DO UPDATE SET recent_checked = c.recent_checked + excluded.recent_checked,
                                   recent_confirmed = c.recent_confirmed + excluded.recent_confirmed
