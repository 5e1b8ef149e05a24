-- Purpose: the parents, and the list of those that a bench deletes. Locks: none on what is there. Repeat: fails.
CREATE TABLE public.projects (id bigint PRIMARY KEY, name text NOT NULL, description text NOT NULL);
CREATE TABLE public.doomed (id bigint PRIMARY KEY);
