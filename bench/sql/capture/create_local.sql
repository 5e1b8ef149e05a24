-- Purpose: what a native foreign key needs beside the parents: a table without rows, and one with. Repeat: fails.
CREATE TABLE public.local_notes (id bigint PRIMARY KEY, project_id bigint);
CREATE INDEX local_notes_project ON public.local_notes (project_id);
CREATE TABLE public.local_builds (id bigint PRIMARY KEY, project_id bigint);
