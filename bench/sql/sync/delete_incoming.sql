-- Purpose: one statement deletes every row that is gone. Locks: the rows. Repeat: deletes nothing.
DELETE FROM public.space_mirrors m USING pg_temp.incoming i WHERE m.id = i.id AND i.owner_id IS NULL
