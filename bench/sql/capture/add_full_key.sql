-- Purpose: a native foreign key of a table with children. Repeat: fails.
ALTER TABLE public.local_builds ADD FOREIGN KEY (project_id) REFERENCES public.projects ON DELETE CASCADE
