//! What the tests of checks share: a mirror, and a sync that does what it is told, step by step.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use futures::FutureExt as _;
use futures::future::{BoxFuture, ready};
use lfk_core::{CursorStore, Stored};
use lfk_core::{Database, OnDelete};
use lfk_mirror::{Mirror, Options, Report, check};
use lfk_tests::scenario::loose;
use lfk_tests::{Pair, TestDb};

/// A mirror whose rows in schema `lfk` are made by hand, so that a test decides what the sync has done.
pub struct Mirrored {
    pub pair: Pair,
    pub mirror: Mirror,
    pub source: Database,
    pub target: Database,
}

impl Mirrored {
    /// Of tables that the SQL makes, filled and in step.
    pub async fn new(mirror: Mirror, main: &str, ci: &str) -> Result<Self> {
        Self::on(Pair::with_schema(main, ci).await?, mirror).await
    }

    pub async fn on(pair: Pair, mirror: Mirror) -> Result<Self> {
        pair.main.execute("CREATE TABLE lfk_p (id bigint PRIMARY KEY)").await?;
        pair.ci.execute("CREATE TABLE lfk_c (p bigint); CREATE INDEX ON lfk_c (p)").await?;
        // Another definition brings the schema along.
        pair.engine([loose("lfk_p(id)", "lfk_c(p)", OnDelete::Delete)?])?.install().await?;
        let target: String = pair.ci.scalar("SELECT id::text FROM lfk.identity").await?;
        let name = mirror.name.replace('\'', "''");
        let table = mirror.source.table.to_string().replace('\'', "''");
        pair.main
            .execute(&format!(
                "INSERT INTO lfk.tracked (relation, key_columns, key_types, capture_version) VALUES ('{table}', '{{mirror}}', '{{}}', 1);
                 INSERT INTO lfk.definition (name, table_id, parent, child, on_delete, fingerprint, child_identity, state, nonce)
                   SELECT '{name}', max(table_id), '', '', '', '', '{target}', 'active', gen_random_uuid() FROM lfk.tracked;
                 INSERT INTO lfk.cursor (consumer, definition, table_id)
                   SELECT '{name}', '{name}', max(table_id) FROM lfk.tracked;
                 INSERT INTO lfk.sweep (consumer, covers, done) VALUES ('{name}', pg_current_snapshot(), true)"
            ))
            .await?;
        let source = Database::connect_lazy("main", &pair.main.url)?;
        let target = Database::connect_lazy("ci", &pair.ci.url)?;
        let all = Self { pair, mirror, source, target };
        all.acknowledge().await?;
        Ok(all)
    }

    /// Changes the source and logs keys, in one transaction, as the triggers do.
    pub async fn write(&self, sql: &str, keys: &[&str]) -> Result<()> {
        self.pair.main.execute(&format!("{sql}; {}", self.logging(keys))).await?;
        Ok(())
    }

    /// The statement that logs keys.
    pub fn logging(&self, keys: &[&str]) -> String {
        let list: Vec<String> = keys.iter().map(|k| format!("'{}'", k.replace('\'', "''"))).collect();
        let list = list.join(", ");
        let columns = if self.has_tkeys() {
            format!("NULL, ARRAY[{list}]::text[]")
        } else {
            format!("ARRAY[{list}]::bigint[], NULL")
        };
        format!(
            "INSERT INTO lfk.key_log (table_id, op, keys, tkeys) SELECT table_id, 'u', {columns} FROM lfk.cursor WHERE consumer = '{}'",
            self.mirror.name
        )
    }

    fn has_tkeys(&self) -> bool {
        self.mirror.source.columns.len() > 1 || self.mirror.name.starts_with("text")
    }

    /// The sync acknowledges everything that is committed now.
    pub async fn acknowledge(&self) -> Result<()> {
        let name = &self.mirror.name;
        let sql = format!(
            "UPDATE lfk.cursor SET prev = pg_current_snapshot(), cur = NULL, seq = seq + 1, prev_at = clock_timestamp() WHERE consumer = '{name}'"
        );
        self.pair.main.execute(&sql).await?;
        Ok(())
    }

    /// What the sync has written to the target.
    pub async fn target(&self, sql: &str) -> Result<()> {
        self.pair.ci.execute(sql).await?;
        Ok(())
    }

    pub async fn check(&self, options: &Options) -> Result<Report> {
        Ok(check(&self.mirror, &self.source, &self.target, options).await?)
    }

    /// What a check finds that may wait for nobody.
    pub async fn found(&self) -> Result<Found> {
        self.found_by(&quick()).await
    }

    pub async fn found_by(&self, options: &Options) -> Result<Found> {
        let report = self.check(options).await?;
        anyhow::ensure!(report.complete, "not complete: {report:?}");
        Ok(Found::of(&report))
    }
}

/// Numbers of a report that tests compare.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Found {
    pub missing: i64,
    pub different: i64,
    pub extra: i64,
    pub in_flight: i64,
    pub hot: i64,
    pub not_yet: i64,
    pub quarantined: i64,
}

/// Everything is equal.
pub const NOTHING: Found =
    Found { missing: 0, different: 0, extra: 0, in_flight: 0, hot: 0, not_yet: 0, quarantined: 0 };

impl Found {
    pub fn of(report: &Report) -> Self {
        let Report { confirmed, in_flight, hot, not_yet, quarantined, .. } = report;
        Self {
            missing: confirmed.missing,
            different: confirmed.different,
            extra: confirmed.extra,
            in_flight: *in_flight,
            hot: *hot,
            not_yet: *not_yet,
            quarantined: *quarantined,
        }
    }
}

/// Waits for nobody, and shows keys.
pub fn quick() -> Options {
    let mut options = Options::default();
    options.patience = std::time::Duration::ZERO;
    options.show_keys = true;
    options
}

/// As [`quick`], in chunks of so many rows.
pub fn by_chunks(rows: u32) -> Options {
    let mut options = quick();
    options.chunk_rows = Some(rows);
    options
}

/// Keys of a report with their class, sorted.
pub fn samples(report: &Report) -> Vec<String> {
    let mut all: Vec<String> = report.samples.iter().map(|s| format!("{} {}", s.class, s.key.join(","))).collect();
    all.sort();
    all
}

/// The mirror of most tests.
pub fn items() -> Result<Mirror> {
    Ok(Mirror::new("items", "main:public.items(id)", "ci:public.item_mirrors(item_id)")?
        .column("a", "a")?
        .column("b", "b")?)
}

pub const ITEMS: &str =
    "CREATE TABLE items (id bigint PRIMARY KEY, a bigint, b text, flag boolean NOT NULL DEFAULT true, note text)";
pub const ITEM_MIRRORS: &str = "CREATE TABLE item_mirrors (item_id bigint PRIMARY KEY, a bigint, b text, own text)";

/// So many equal rows on both sides, with ids that are multiples of ten.
pub async fn filled(rows: u32) -> Result<Mirrored> {
    let mirrored = Mirrored::new(items()?, ITEMS, ITEM_MIRRORS).await?;
    let fill =
        |table: &str| format!("INSERT INTO {table} SELECT 10 * n, n, 'row ' || n FROM generate_series(1, {rows}) n");
    mirrored.pair.main.execute(&fill("items (id, a, b)")).await?;
    mirrored.target(&fill("item_mirrors (item_id, a, b)")).await?;
    Ok(mirrored)
}

/// Keeps positions in memory.
#[derive(Debug, Default, Clone)]
pub struct Memory(Arc<Mutex<HashMap<String, Stored>>>);

impl Memory {
    pub fn kept(&self, name: &str) -> Option<String> {
        self.0.lock().expect("nobody panics with it").get(name).map(|s| s.value.clone())
    }

    /// What there is.
    pub fn names(&self) -> Vec<String> {
        self.0.lock().expect("nobody panics with it").keys().cloned().collect()
    }
}

impl CursorStore for Memory {
    fn load<'a>(&'a self, name: &'a str) -> BoxFuture<'a, lfk_core::Result<Option<Stored>>> {
        ready(Ok(self.0.lock().expect("nobody panics with it").get(name).cloned())).boxed()
    }

    fn save<'a>(
        &'a self,
        name: &'a str,
        value: &'a str,
        expected: Option<u64>,
    ) -> BoxFuture<'a, lfk_core::Result<Option<u64>>> {
        let mut kept = self.0.lock().expect("nobody panics with it");
        let version = (kept.get(name).map(|s| s.version) == expected).then(rand::random::<u64>);
        if let Some(version) = version {
            kept.insert(name.to_owned(), Stored { value: value.to_owned(), version });
        }
        ready(Ok(version)).boxed()
    }

    fn forget<'a>(&'a self, name: &'a str) -> BoxFuture<'a, lfk_core::Result<()>> {
        self.0.lock().expect("nobody panics with it").remove(name);
        ready(Ok(())).boxed()
    }
}

/// One value as text.
pub async fn text(db: &TestDb, sql: &str) -> Result<String> {
    let rows = db.rows(sql).await?;
    let value = rows.first().and_then(|row| row.first()).context("no row")?;
    Ok(value.clone().unwrap_or_default())
}
