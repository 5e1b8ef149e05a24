//! What the tests of scans and repairs share.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use lfk_core::FileStore;
use lfk_core::{Engine, Error, LooseForeignKey, Repair, RepairOptions, Scan, ScanOptions};
use lfk_tests::{Pair, TestDb};

use crate::clean_support::table;
use crate::log_support::builds;

pub const NAME: &str = "builds.project_id";

/// Builds of projects 1 to 3; a repair looks twice without waiting in between.
pub fn at_once() -> Result<LooseForeignKey> {
    Ok(builds()?.settle_after(Duration::ZERO))
}

/// A scan of the only definition of an engine, which does not fail.
pub async fn scan_with(engine: &Engine, options: &ScanOptions) -> Result<Scan> {
    let mut report = engine.scan(&names(engine), options).await?;
    match report.failures.pop() {
        Some(error) => Err(error.into()),
        None => report.scans.pop().context("no scan"),
    }
}

pub async fn scan(engine: &Engine) -> Result<Scan> {
    scan_with(engine, &ScanOptions::default()).await
}

/// Why a scan of the only definition fails.
pub async fn scan_error(engine: &Engine) -> Result<Error> {
    engine.scan(&names(engine), &ScanOptions::default()).await?.failures.pop().context("it did not fail")
}

fn names(engine: &Engine) -> Vec<String> {
    engine.definitions().iter().map(|d| d.name.clone()).collect()
}

/// Checked keys, orphaned keys and their rows, keys in flight, keys that could not be decided.
pub fn counts(scan: &Scan) -> (u64, u64, u64, u64, u64) {
    (scan.checked_keys, scan.orphan_keys, scan.orphan_rows, scan.in_flight, scan.unconfirmed)
}

/// Options of a scan that does not wait for open transactions.
pub fn impatient() -> ScanOptions {
    let mut options = ScanOptions::default();
    options.wait = Duration::ZERO;
    options
}

/// Options of a repair that is done.
pub fn execute() -> RepairOptions {
    let mut options = RepairOptions::default();
    options.execute = true;
    options
}

pub async fn repair_with(engine: &Engine, options: &RepairOptions) -> Result<Repair, Error> {
    let name = engine.definitions().first().map(|d| d.name.clone()).unwrap_or_default();
    engine.repair(&name, options).await
}

pub async fn repair(engine: &Engine) -> Result<Repair, Error> {
    repair_with(engine, &execute()).await
}

/// Deletes parents as replication does: no trigger fires.
pub async fn delete_silently(db: &TestDb, condition: &str) -> Result<()> {
    let sql = format!("SET LOCAL session_replication_role = replica; DELETE FROM projects WHERE {condition}");
    db.execute(&sql).await?;
    Ok(())
}

/// Projects 1 to `projects` without every `missing`th, and `each` builds for each of the numbers.
pub async fn many(projects: u32, missing: u32, each: u32) -> Result<Pair> {
    let pair = Pair::new().await?;
    let parents = format!(
        "CREATE TABLE projects (id bigint PRIMARY KEY);
         INSERT INTO projects SELECT n FROM generate_series(1, {projects}) n WHERE n % {missing} <> 0; ANALYZE projects"
    );
    let children = format!(
        "CREATE TABLE builds (id bigint PRIMARY KEY, project_id bigint);
         INSERT INTO builds SELECT n, 1 + n % {projects} FROM generate_series(1, {projects} * {each}) n;
         CREATE INDEX ON builds (project_id); ANALYZE builds"
    );
    tokio::try_join!(pair.main.execute(&parents), pair.ci.execute(&children))?;
    Ok(pair)
}

/// Everything that a scan must leave as it is: the rows of both ends, and which schemas there are.
pub async fn everything(pair: &Pair) -> Result<Vec<String>> {
    let schemas = "(SELECT nspname FROM pg_namespace) n";
    let mut all = table(&pair.main, "projects").await?;
    all.extend(table(&pair.ci, "builds").await?);
    all.extend(table(&pair.main, schemas).await?);
    all.extend(table(&pair.ci, schemas).await?);
    Ok(all)
}

/// A cursor file that goes with the test.
pub struct CursorFile(pub PathBuf);

impl CursorFile {
    pub fn new() -> Self {
        Self(std::env::temp_dir().join(format!("lfk-cursor-{}.json", uuid::Uuid::new_v4())))
    }

    /// Options of a scan that keeps its position there.
    pub fn options(&self, resume: bool) -> ScanOptions {
        let mut options = ScanOptions::default();
        options.cursor = Some(Arc::new(FileStore::new(&self.0)));
        options.resume = resume;
        options
    }
}

impl Drop for CursorFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}
