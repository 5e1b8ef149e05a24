-- Purpose: what is tracked here, which loose foreign keys hang on it, how far each has come, and what is set aside.
-- Locks: none on anything of the application.
-- Repeat: every statement is IF NOT EXISTS.

-- A parent table, or the source of a mirror, and one of its unique keys. Its number names the triggers, because long table names
-- would collide at 63 bytes. Loose foreign keys share a number, each mirror has one of its own.
CREATE TABLE IF NOT EXISTS lfk.tracked (
  table_id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  relation regclass NOT NULL,
  key_columns text[] NOT NULL,
  -- int8 for every integer, else uuid or text: the type that keys are cast to wherever they are compared.
  key_types text[] NOT NULL,
  capture_version integer NOT NULL,
  -- The mirror that it is the source of, and the columns whose changes are logged with it. NULL: only keys that go are logged.
  mirror text,
  watched text[],
  -- Its last definition is gone: the triggers are being removed and lfk.cover leaves it alone.
  retiring boolean NOT NULL DEFAULT false,
  -- When lfk.cover last logged a sweep marker, so that a lasting gap is swept once an hour.
  marked_at timestamptz,
  created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  UNIQUE NULLS NOT DISTINCT (relation, key_columns, mirror)
);
COMMENT ON TABLE lfk.tracked IS 'Tables whose deleted and changed keys are logged, by table_id. Triggers are named lfk_<table_id>_<op>.';

-- What lfk.cover saw last: a leaf that was dropped or detached since then leaves no other trace.
CREATE TABLE IF NOT EXISTS lfk.covered (
  table_id integer NOT NULL REFERENCES lfk.tracked ON DELETE CASCADE,
  relation oid NOT NULL,
  name text NOT NULL,
  outcome text NOT NULL,
  noted_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  PRIMARY KEY (table_id, relation)
);
COMMENT ON TABLE lfk.covered IS 'Every relation in the trees of tracked tables and whether its triggers were there when last looked at.';

CREATE TABLE IF NOT EXISTS lfk.definition (
  name text PRIMARY KEY,
  kind text NOT NULL DEFAULT 'loose_foreign_key' CHECK (kind IN ('loose_foreign_key', 'mirror')),
  table_id integer NOT NULL REFERENCES lfk.tracked,
  -- Of a mirror: the source and the target.
  parent text NOT NULL,
  child text NOT NULL,
  on_delete text NOT NULL,
  -- Everything that makes it this definition; another one under the same name goes back to observe.
  fingerprint text NOT NULL,
  child_identity uuid NOT NULL,
  state text NOT NULL DEFAULT 'observe' CHECK (state IN ('observe', 'active', 'canary', 'paused')),
  state_changed_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  -- held: tried again by itself every few seconds; blocked: a person has to change something first.
  condition text NOT NULL DEFAULT 'ok' CHECK (condition IN ('ok', 'held', 'blocked')),
  note text,
  noted_at timestamptz,
  -- The nonce that the child's database had when last seen, and the one that may just have been written there.
  nonce uuid NOT NULL,
  next_nonce uuid,
  created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
COMMENT ON TABLE lfk.definition IS 'Loose foreign keys whose parent, and mirrors whose source, lives in this database.';

-- One small row a consumer: owner, fencing token, lease and position at once. Fillfactor 10 keeps the updates HOT.
CREATE TABLE IF NOT EXISTS lfk.cursor (
  consumer text PRIMARY KEY,
  definition text NOT NULL REFERENCES lfk.definition ON DELETE CASCADE,
  table_id integer NOT NULL,
  -- NULL: head cursor; else the trailing cursor that visits each key again this long after.
  settle interval,
  token bigint NOT NULL DEFAULT 0,
  owner uuid,
  lease_until timestamptz NOT NULL DEFAULT '-infinity',
  -- Rises by one whenever prev, cur or the position changes.
  seq bigint NOT NULL DEFAULT 0,
  -- '1:1:' sees nothing: a new cursor begins with everything the log holds, or keys logged before it was made would be lost.
  prev pg_snapshot NOT NULL DEFAULT '1:1:',
  prev_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  cur pg_snapshot,
  cur_at timestamptz,
  pos_xid xid8 NOT NULL DEFAULT '0',
  pos_id bigint NOT NULL DEFAULT 0,
  -- Set in every UPDATE and compared with the row's xmin: a dump restored elsewhere differs.
  stamp xid8 NOT NULL DEFAULT pg_catalog.pg_current_xact_id(),
  keys_total bigint NOT NULL DEFAULT 0,
  observed_keys bigint NOT NULL DEFAULT 0,
  resurrected_total bigint NOT NULL DEFAULT 0,
  rows_affected_total bigint NOT NULL DEFAULT 0,
  keys_per_second double precision NOT NULL DEFAULT 0,
  advanced_at timestamptz
) WITH (fillfactor = 10);
COMMENT ON TABLE lfk.cursor IS 'How far each consumer has read the key log. Nothing in the log is ever marked as done.';
-- Rows are changed in another database than this, so no transaction holds both: a worker that is killed leaves out what it has
-- changed since the last advance, and its successor, who finds those children gone, does not count them either.
COMMENT ON COLUMN lfk.cursor.rows_affected_total IS 'Child rows deleted or changed, as of the last advance: at most what is true, and less where a worker was killed (about a second of its work each time).';

-- Keys that could not be done, each with its reason; the cursor has moved on.
CREATE TABLE IF NOT EXISTS lfk.retry (
  consumer text NOT NULL REFERENCES lfk.cursor ON DELETE CASCADE,
  key text[] NOT NULL,
  reason text NOT NULL,
  sqlstate text,
  error text,
  attempts integer NOT NULL DEFAULT 0,
  -- Attempts that failed by the key's own fault: only these lead to quarantine.
  blamed integer NOT NULL DEFAULT 0,
  tried_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  not_before timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  quarantined_at timestamptz,
  -- A check confirmed that the row differs: what is there now is kept before it is changed.
  repair boolean NOT NULL DEFAULT false,
  -- A suspect of a sweep is not touched before every transaction below this number has ended.
  barrier xid8,
  created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  PRIMARY KEY (consumer, key)
);
CREATE INDEX IF NOT EXISTS retry_due ON lfk.retry (consumer, not_before) WHERE quarantined_at IS NULL;
CREATE INDEX IF NOT EXISTS retry_quarantined ON lfk.retry (consumer) WHERE quarantined_at IS NOT NULL;
COMMENT ON TABLE lfk.retry IS 'Keys set aside with their reason; tried again after not_before, quarantined (kept, shown, not tried) after too many attempts.';

-- The other end: which definitions of which parent database clean children in this database.
CREATE TABLE IF NOT EXISTS lfk.peer (
  definition text NOT NULL,
  parent_identity uuid NOT NULL,
  child text NOT NULL,
  nonce uuid NOT NULL,
  created_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  PRIMARY KEY (definition, parent_identity)
);
COMMENT ON TABLE lfk.peer IS 'Loose foreign keys whose children live in this database. The nonce changes as they work; a copy of one side then no longer agrees with the other.';

CREATE TABLE IF NOT EXISTS lfk.worker (
  id uuid PRIMARY KEY,
  host text NOT NULL,
  pid integer NOT NULL,
  version text NOT NULL,
  abilities text[] NOT NULL,
  started_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  seen_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
COMMENT ON TABLE lfk.worker IS 'Processes that read the key log of this database, and when each was last seen.';

-- A sweep in progress: distinct child keys in keyset order, those without a parent cleaned. Of a mirror: a fill, the rows of the
-- source and then those of the target in the order of the key.
CREATE TABLE IF NOT EXISTS lfk.sweep (
  consumer text PRIMARY KEY REFERENCES lfk.cursor ON DELETE CASCADE,
  -- What had been committed when it began: it stands for every marker that this sees.
  covers pg_snapshot NOT NULL,
  -- Of a mirror: 0 while the source is read, 1 while the target is.
  part smallint NOT NULL DEFAULT 0,
  -- The last key that is wholly done; NULL: none yet.
  behind text[],
  done boolean NOT NULL DEFAULT false,
  looked_at bigint NOT NULL DEFAULT 0,
  -- Keys without a parent; of a mirror: rows written.
  orphans bigint NOT NULL DEFAULT 0,
  started_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  moved_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp()
);
COMMENT ON TABLE lfk.sweep IS 'The last sweep of each consumer: what a TRUNCATE, a dropped partition or a gap in coverage left without a list of keys is found by looking at every child key.';

-- Who may write to the target of a mirror: no token below this one.
CREATE TABLE IF NOT EXISTS lfk.mirror_fence (
  mirror text NOT NULL,
  source_identity uuid NOT NULL,
  token bigint NOT NULL,
  -- The table that was written: another one of that name has none of what was written.
  target oid,
  raised_at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  PRIMARY KEY (mirror, source_identity),
  FOREIGN KEY (mirror, source_identity) REFERENCES lfk.peer (definition, parent_identity) ON DELETE CASCADE
);
COMMENT ON TABLE lfk.mirror_fence IS 'The newest writer of each mirror whose target lives in this database. A stalled one that wakes up has an older token and writes nothing.';

CREATE TABLE IF NOT EXISTS lfk.before_image (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  mirror text NOT NULL,
  source_identity uuid NOT NULL,
  at timestamptz NOT NULL DEFAULT pg_catalog.clock_timestamp(),
  row jsonb NOT NULL
);
CREATE INDEX IF NOT EXISTS before_image_mirror ON lfk.before_image (mirror, at);
COMMENT ON TABLE lfk.before_image IS 'Rows of mirrors as they were before a repair changed or deleted them; kept for keep_before of each mirror.';
