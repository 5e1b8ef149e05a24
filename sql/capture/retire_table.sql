-- Purpose: a table on which no definition hangs any more is to lose its triggers. $1 table_id, or every one (NULL).
-- Locks: the rows. Index: primary key. Repeat: yes.
UPDATE lfk.tracked t SET retiring = true
 WHERE ($1::integer IS NULL OR t.table_id = $1) AND NOT t.retiring
   AND NOT EXISTS (SELECT FROM lfk.definition d WHERE d.table_id = t.table_id)
