-- Purpose: targets of mirrors, as their sources. Repeat: fails.
CREATE TABLE public.path_mirrors (id bigint PRIMARY KEY, path bigint[] NOT NULL);
CREATE TABLE public.space_mirrors (id bigint PRIMARY KEY, owner_id bigint NOT NULL, kind integer NOT NULL, name text NOT NULL,
  description text, price numeric(12, 2), archived boolean NOT NULL, updated_at timestamptz NOT NULL);
