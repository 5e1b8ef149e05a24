-- Purpose: the index that a cascade looks children up with. Repeat: fails.
CREATE INDEX local_builds_project ON public.local_builds (project_id)
