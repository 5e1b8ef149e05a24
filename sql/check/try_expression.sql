-- Purpose: lets the server judge an expression by its own rule for generated columns: only columns of the same row, no
--   subquery, nothing that is not IMMUTABLE. In the transaction of try_table, which is rolled back.
-- Locks: the temporary table. Index: none. Repeat: it never stays.
ALTER TABLE pg_temp.lfk_try ADD COLUMN lfk_tried boolean GENERATED ALWAYS AS ("{expression}" IS NULL) STORED
