-- Purpose: registers this worker, or says that it is alive. $1 id, $2 host, $3 pid, $4 version, $5 abilities.
-- Locks: its own row. Index: primary key. Repeat: yes.
INSERT INTO lfk.worker AS w (id, host, pid, version, abilities) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (id) DO UPDATE SET seen_at = clock_timestamp()
