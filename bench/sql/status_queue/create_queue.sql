-- Purpose: a queue whose rows get a status: a list-partitioned table, one row a deleted parent, found by a partial index.
CREATE TABLE public.queue (
  id bigint GENERATED ALWAYS AS IDENTITY,
  part bigint NOT NULL DEFAULT 1,
  parent_key bigint NOT NULL,
  status smallint NOT NULL DEFAULT 1,
  queued_at timestamptz NOT NULL DEFAULT pg_catalog.now(),
  table_name text NOT NULL CHECK (pg_catalog.char_length(table_name) <= 150),
  due_at timestamptz DEFAULT pg_catalog.now(),
  attempts smallint DEFAULT 0,
  PRIMARY KEY (part, id)
) PARTITION BY LIST (part);
CREATE TABLE public.queue_1 PARTITION OF public.queue FOR VALUES IN (1);
CREATE INDEX queue_pending ON public.queue (part, table_name, due_at, id) WHERE status = 1;
