-- Purpose: deletes parents one by one in one transaction, so that nothing is measured but the statements themselves: no client, no
--   network, no commit. Repeat: replaced.
CREATE OR REPLACE FUNCTION public.delete_singly(first bigint, last bigint) RETURNS void LANGUAGE plpgsql AS $singly$
BEGIN
  FOR n IN first..last LOOP
    DELETE FROM public.projects WHERE id = n;
  END LOOP;
END $singly$
