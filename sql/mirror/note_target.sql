-- Purpose: says in the audit that another table has taken the place of a mirror's target. $1 mirror.
-- Locks: none. Index: none. Repeat: a second row.
INSERT INTO lfk.audit (definition, event) VALUES ($1, 'target_replaced')
