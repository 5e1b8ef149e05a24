-- Purpose: one row of the key log for each doomed parent, as so many statements that each deleted one would have written them, a
--   hundred a transaction. Repeat: replaced.
CREATE OR REPLACE PROCEDURE public.log_singly() LANGUAGE plpgsql AS $singly$
DECLARE
  projects CONSTANT integer := (SELECT t.table_id FROM lfk.tracked t WHERE t.relation = 'public.projects'::regclass AND t.mirror IS NULL);
  after bigint := 0;
BEGIN
  LOOP
    WITH next AS (SELECT d.id FROM public.doomed d WHERE d.id > after ORDER BY d.id LIMIT 100),
         logged AS (INSERT INTO lfk.key_log (table_id, op, keys) SELECT projects, 'd', ARRAY[next.id] FROM next ORDER BY next.id)
    SELECT max(next.id) INTO after FROM next;
    EXIT WHEN after IS NULL;
    COMMIT;
  END LOOP;
END $singly$
