//! The soak's two servers, its tables, and its definitions: one of every kind.

use std::sync::Arc;

use anyhow::Result;
use lfk_tests::{Cli, Cluster, Pair, TestDb};
use sqlx::{AssertSqlSafe, SqlSafeStr as _, SqlStr};

/// One of the two databases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Main,
    Ci,
}

/// What a definition does with children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    Delete,
    SetNull,
    /// `status` becomes 4.
    Set,
}

/// A child table with its definition. Its column is always `parent_id`, that of its parent `id`.
#[derive(Debug)]
pub struct Child {
    pub table: &'static str,
    pub side: Side,
    pub parent: &'static str,
    pub parents: Side,
    pub action: Action,
}

const fn child(table: &'static str, side: Side, parent: &'static str, parents: Side, action: Action) -> Child {
    Child { table, side, parent, parents, action }
}

/// Between two databases and inside one, partitioned and polymorphic, and a chain: orgs, groups, and what belongs to groups.
pub const CHILDREN: [Child; 10] = [
    child("builds", Side::Ci, "projects", Side::Main, Action::Delete),
    child("notes", Side::Ci, "projects", Side::Main, Action::Delete),
    child("tickets", Side::Ci, "projects", Side::Main, Action::SetNull),
    child("jobs", Side::Ci, "projects", Side::Main, Action::Set),
    child("invoices", Side::Ci, "projects", Side::Main, Action::Delete),
    child("event_notes", Side::Ci, "events", Side::Main, Action::Delete),
    child("seats", Side::Ci, "tenants", Side::Main, Action::Delete),
    child("groups", Side::Ci, "orgs", Side::Main, Action::Delete),
    child("members", Side::Ci, "groups", Side::Ci, Action::Delete),
    child("badges", Side::Main, "groups", Side::Ci, Action::Delete),
];

/// Parents that writers make, delete and bring back, with the highest of their usual keys.
pub const PARENTS: [(&str, i64); 4] = [("projects", 3_000), ("orgs", 500), ("tenants", 600), ("events", 1_200)];
/// Events of a partition.
pub const PARTITION: i64 = 100;
/// Parents that have very many builds, which nobody but their actor touches.
pub const WIDE: std::ops::RangeInclusive<i64> = 20_000_001..=20_000_003;
/// Builds of each of them.
pub const WIDE_BUILDS: i64 = 100_000;
/// Parents from here on have a frozen invoice each.
pub const POISONED: i64 = 30_000_001;
/// The second visit of a key comes this long after its delete was committed.
pub const SETTLE: &str = "20 s";

/// Every row of a parent has a number of its own, `born`, which it keeps only where no commit shows the key without it.
const BOTH: &str = "
    CREATE SEQUENCE births;
    -- What writers have made: which child refers to which birth of its parent, and whether lfk may never touch it while
    -- that one lives. Written with the child.
    CREATE TABLE ledger (child text, id bigint, key bigint, born bigint, claim boolean, PRIMARY KEY (child, id));";

const MAIN: &str = "
    CREATE TABLE projects (id bigint PRIMARY KEY, born bigint NOT NULL DEFAULT nextval('births'), name text);
    CREATE TABLE orgs (LIKE projects INCLUDING ALL);
    CREATE TABLE tenants (LIKE projects INCLUDING ALL);
    CREATE TABLE events (LIKE projects INCLUDING ALL) PARTITION BY RANGE (id);
    CREATE TABLE badges (id bigint PRIMARY KEY DEFAULT nextval('births'), parent_id bigint NOT NULL);
    CREATE INDEX ON badges (parent_id);";

const CI: &str = "
    CREATE TABLE builds (id bigint PRIMARY KEY DEFAULT nextval('births'), parent_id bigint NOT NULL) PARTITION BY HASH (id);
    CREATE TABLE builds_0 PARTITION OF builds FOR VALUES WITH (MODULUS 3, REMAINDER 0);
    CREATE TABLE builds_1 PARTITION OF builds FOR VALUES WITH (MODULUS 3, REMAINDER 1);
    CREATE TABLE builds_2 PARTITION OF builds FOR VALUES WITH (MODULUS 3, REMAINDER 2);
    CREATE TABLE notes (id bigint PRIMARY KEY DEFAULT nextval('births'), parent_id bigint, kind text NOT NULL DEFAULT 'Project');
    CREATE TABLE tickets (id bigint PRIMARY KEY DEFAULT nextval('births'), parent_id bigint);
    CREATE TABLE jobs (id bigint PRIMARY KEY DEFAULT nextval('births'), parent_id bigint, status int DEFAULT 0);
    CREATE TABLE invoices (id bigint PRIMARY KEY DEFAULT nextval('births'), parent_id bigint, frozen bool NOT NULL DEFAULT false);
    CREATE TABLE event_notes (id bigint PRIMARY KEY DEFAULT nextval('births'), parent_id bigint);
    CREATE TABLE seats (id bigint PRIMARY KEY DEFAULT nextval('births'), parent_id bigint);
    CREATE TABLE groups (id bigint PRIMARY KEY DEFAULT nextval('births'), parent_id bigint, born bigint NOT NULL DEFAULT nextval('births'));
    CREATE TABLE members (id bigint PRIMARY KEY DEFAULT nextval('births'), parent_id bigint);
    CREATE INDEX ON builds (parent_id); CREATE INDEX ON notes (kind, parent_id); CREATE INDEX ON tickets (parent_id);
    CREATE INDEX ON jobs (parent_id); CREATE INDEX ON invoices (parent_id); CREATE INDEX ON event_notes (parent_id);
    CREATE INDEX ON seats (parent_id); CREATE INDEX ON groups (parent_id); CREATE INDEX ON members (parent_id);
    CREATE FUNCTION keep_frozen() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''it is frozen''; END';
    CREATE TRIGGER keep_frozen BEFORE DELETE ON invoices FOR EACH ROW WHEN (OLD.frozen) EXECUTE FUNCTION keep_frozen();";

/// The soak's databases, on servers of its own, with lfk installed and active.
pub struct Arena {
    pub pair: Pair,
    pub cli: Arc<Cli>,
    /// Parents with a `born` up to this one were there before anything was ever deleted.
    pub first: i64,
    _servers: [Cluster; 2],
}

impl Arena {
    pub async fn new() -> Result<Self> {
        let settings = [("track_commit_timestamp", "on")];
        let (main, ci) = tokio::try_join!(Cluster::start_with(&settings), Cluster::start_with(&settings))?;
        let pair = Pair::on(&main, &ci).await?;
        let mut fill = String::new();
        for partition in 0..PARENTS[3].1 / PARTITION {
            fill += &create_partition(partition);
        }
        for (table, keys) in PARENTS {
            let last = keys - 1;
            fill += &format!("INSERT INTO {table} (id) SELECT generate_series(0, {last});");
        }
        let (first, last) = (WIDE.start(), WIDE.end());
        fill += &format!("INSERT INTO projects (id) SELECT generate_series({first}, {last});");
        let wide = format!(
            "INSERT INTO builds SELECT -n, {first} + n % {} FROM generate_series(1, {}) n; ANALYZE;",
            last - first + 1,
            WIDE_BUILDS * (last - first + 1)
        );
        let (fill, wide) = (format!("{BOTH} {MAIN} {fill}"), format!("{BOTH} {CI} {wide}"));
        tokio::try_join!(pair.main.execute(&fill), pair.ci.execute(&wide))?;
        let cli = Cli::for_pair(&pair, &definitions())?;
        cli.run(["install"]).await?.expect(0);
        cli.run(["activate", "--all"]).await?.expect(0);
        for db in [&pair.main, &pair.ci] {
            turn_the_ring_quickly(db).await?;
        }
        let first = pair.main.scalar("SELECT last_value FROM births").await?;
        Ok(Self { pair, cli: Arc::new(cli), first, _servers: [main, ci] })
    }

    pub fn db(&self, side: Side) -> &TestDb {
        match side {
            Side::Main => &self.pair.main,
            Side::Ci => &self.pair.ci,
        }
    }
}

pub fn create_partition(number: i64) -> String {
    let (from, to) = (number * PARTITION, (number + 1) * PARTITION);
    format!("CREATE TABLE events_{number} PARTITION OF events FOR VALUES FROM ({from}) TO ({to});")
}

fn definitions() -> String {
    let name = |side| if side == Side::Main { "main" } else { "ci" };
    let one = |c: &Child| {
        let action = match c.action {
            Action::Delete => "\"delete\"",
            Action::SetNull => "\"set_null\"",
            Action::Set => "{ set = { status = 4 } }",
        };
        let filter = if c.table == "notes" { "where = { kind = \"Project\" }\n" } else { "" };
        format!(
            "[[loose_foreign_key]]\nparent = \"{}:public.{}(id)\"\nchild = \"{}:public.{}(parent_id)\"\non_delete = {action}\n{filter}",
            name(c.parents),
            c.parent,
            name(c.side),
            c.table
        )
    };
    CHILDREN.iter().map(one).collect()
}

/// A leaf of the log lasts 15 s and not four hours. The leaves that lfk takes for the current one and the next are left out,
/// so that all of them may be retired; which rows a leaf holds is looked at exactly in any case.
async fn turn_the_ring_quickly(db: &TestDb) -> Result<()> {
    db.execute(&format!(
        "UPDATE lfk.cursor SET settle = '{SETTLE}', stamp = pg_current_xact_id() WHERE settle IS NOT NULL;
         DO $$ BEGIN
           EXECUTE format('ALTER TABLE lfk.key_log ALTER COLUMN leaf SET DEFAULT ((%s + (extract(epoch FROM pg_catalog.clock_timestamp())::bigint / 15) %% 6) %% 8)::smallint',
                          (extract(epoch FROM clock_timestamp())::bigint / 14400) % 8 + 2);
         END $$"
    ))
    .await?;
    Ok(())
}

/// Lets a day pass for all that everybody has visited twice, and for nothing else: the ticks that every trailing cursor has
/// gone past are a day older. Deletes are retired then, and second visits still come as late as they would.
pub async fn let_a_day_pass(db: &TestDb) -> Result<()> {
    db.execute(
        "INSERT INTO lfk.tick DEFAULT VALUES;
         UPDATE lfk.tick t SET at = t.at - interval '24 hours 5 minutes'
          WHERE t.at > clock_timestamp() - interval '23 hours'
            AND t.at <= (SELECT min(c.prev_at) FROM lfk.cursor c WHERE c.settle IS NOT NULL)",
    )
    .await?;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the SQL of tests is written in tests")]
pub fn trusted(sql: &str) -> SqlStr {
    AssertSqlSafe(sql.to_owned()).into_sql_str()
}
