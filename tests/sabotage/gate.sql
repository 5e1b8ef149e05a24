-- A place where a statement waits until the test lets it go on: the test holds the advisory lock 42. As a function, a
-- statement may call it; as a trigger function, an update waits after its new row was computed.
CREATE FUNCTION public.gate() RETURNS void LANGUAGE plpgsql SET lock_timeout = 0 AS $$
BEGIN
  PERFORM pg_advisory_xact_lock(42);
END $$;
CREATE FUNCTION public.gate_trigger() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM public.gate();
  RETURN NEW;
END $$;
