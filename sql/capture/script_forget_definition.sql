-- Purpose: the parent's side of a definition, in the printed script: the definition, then the triggers when it was the
--   last one of its table.
-- Locks: see lfk.untrack. Index: none, few rows. Repeat: yes.
DELETE FROM lfk.definition WHERE name = '{name}' AND parent = '{parent}';
UPDATE lfk.tracked t SET retiring = true
 WHERE t.relation = '{table}'::pg_catalog.regclass AND t.key_columns = '{columns}' AND coalesce(t.mirror, '') = '{mirror}'
   AND NOT EXISTS (SELECT FROM lfk.definition d WHERE d.table_id = t.table_id);
SELECT lfk.untrack(t.table_id) FROM lfk.tracked t WHERE t.retiring;
