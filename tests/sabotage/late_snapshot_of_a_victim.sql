-- A snapshot that is taken after its transaction has got an xid, and so counts that transaction as seen as soon as a later
-- one has ended, which under stress is soon. The transaction then deletes one of the parents that are set apart for this.
CREATE FUNCTION public.late_snapshot() RETURNS pg_snapshot LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
  late pg_snapshot;
  victim bigint;
BEGIN
  PERFORM pg_current_xact_id(), pg_sleep(0.02);
  late := pg_current_snapshot();
  DELETE FROM public.victims v
   WHERE v.id = (SELECT w.id FROM public.victims w ORDER BY w.id LIMIT 1 FOR UPDATE SKIP LOCKED) RETURNING v.id INTO victim;
  DELETE FROM public.users u WHERE u.id = victim;
  INSERT INTO public.struck (id) SELECT victim WHERE victim IS NOT NULL;
  RETURN late;
END $$
