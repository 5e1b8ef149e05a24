-- Purpose: the indexes on the children's columns, made when the rows are there: faster, and without holes. Repeat: fails.
CREATE INDEX builds_project ON public.builds (project_id);
CREATE INDEX notes_project ON public.notes (project_id);
