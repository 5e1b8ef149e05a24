-- Purpose: sources of mirrors: a narrow one and one of eight columns, and the list of keys that were changed. Repeat: fails.
CREATE TABLE public.paths (id bigint PRIMARY KEY, path bigint[] NOT NULL);
CREATE TABLE public.spaces (id bigint PRIMARY KEY, owner_id bigint NOT NULL, kind integer NOT NULL, name text NOT NULL,
  description text, price numeric(12, 2), archived boolean NOT NULL, updated_at timestamptz NOT NULL);
CREATE TABLE public.changed (id bigint PRIMARY KEY);
