-- Purpose: the schema that holds everything lfk keeps in this database, and the row that says which database this is.
-- Locks: none on anything of the application.
-- Repeat: every statement is IF NOT EXISTS or ON CONFLICT DO NOTHING.
CREATE SCHEMA IF NOT EXISTS lfk;
REVOKE ALL ON SCHEMA lfk FROM PUBLIC;
COMMENT ON SCHEMA lfk IS 'lfk: loose foreign keys. Made by lfk install, removed by lfk uninstall.';

-- Which database this is. A copy (dump and restore, CREATE DATABASE ... TEMPLATE) carries the row along and then
-- differs from it: the oid, or the row's own xmin, which only this cluster can have written.
CREATE TABLE IF NOT EXISTS lfk.identity (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  id uuid NOT NULL DEFAULT pg_catalog.gen_random_uuid(),
  database_oid bigint NOT NULL,
  system_identifier text,
  schema_version integer NOT NULL,
  created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  stamp xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id()
);
COMMENT ON TABLE lfk.identity IS 'Which database this is. Compared before any work; every UPDATE also sets stamp.';

-- The kill switch: lfk stop works without any daemon, because every batch reads this row first.
CREATE TABLE IF NOT EXISTS lfk.control (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  stopped boolean NOT NULL DEFAULT false,
  changed_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  changed_by text NOT NULL DEFAULT CURRENT_USER
);
INSERT INTO lfk.control DEFAULT VALUES ON CONFLICT DO NOTHING;
COMMENT ON TABLE lfk.control IS 'The kill switch. lfk stop --all sets it, lfk start --all clears it; read before every batch.';
