-- Purpose: a native foreign key of a table without rows. Repeat: fails.
ALTER TABLE public.local_notes ADD FOREIGN KEY (project_id) REFERENCES public.projects ON DELETE CASCADE
