-- The second half of a broken idle move: by now, something may have been committed that the first half did not see.
UPDATE lfk.cursor c
   SET prev = pg_current_snapshot(), prev_at = statement_timestamp(), seq = c.seq + 1, stamp = pg_current_xact_id()
  FROM public.idle_noted i WHERE c.consumer = i.consumer AND c.seq = i.seq AND c.cur IS NULL
