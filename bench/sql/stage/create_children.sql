-- Purpose: children to delete (builds) and to null (notes), and the list of parents that a bench deletes. Locks: none on what
--   is there. Repeat: fails.
CREATE TABLE public.builds (id bigint PRIMARY KEY, project_id bigint, status integer NOT NULL, payload text NOT NULL);
CREATE TABLE public.notes (id bigint PRIMARY KEY, project_id bigint, status integer NOT NULL, payload text NOT NULL);
CREATE TABLE public.doomed (id bigint PRIMARY KEY);
