-- Purpose: the kill switch of this database. $1 stopped.
-- Locks: the control row. Index: none needed, one row. Repeat: yes.
UPDATE lfk.control SET stopped = $1, changed_at = clock_timestamp(), changed_by = CURRENT_USER
