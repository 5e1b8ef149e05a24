-- A snapshot that is taken after its transaction has got an xid, and so counts that transaction as seen as soon as a later
-- one has ended. The transaction then deletes a parent.
CREATE FUNCTION public.late_snapshot() RETURNS pg_snapshot LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
  late pg_snapshot;
BEGIN
  PERFORM pg_current_xact_id();
  PERFORM public.gate();
  late := pg_current_snapshot();
  DELETE FROM public.projects WHERE id = 1;
  RETURN late;
END $$
