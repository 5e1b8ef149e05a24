//! What the tests of mirrors begin with: spaces in one database, and their copies in another.

use std::sync::Arc;

use anyhow::{Result, ensure};
use lfk_core::sabotage::Hook;
use lfk_core::{Database, Engine, State};
use lfk_mirror::{Mirror, Mirrors as _};
use lfk_tests::{Pair, TestDb, scenario};

pub(crate) const NAME: &str = "spaces";

/// Spaces 1 to 9; 4 and 8 are archived, and so not mirrored.
pub(crate) const SOURCE: &str = "\
    CREATE TABLE spaces (id bigint PRIMARY KEY, name text, path bigint[] NOT NULL DEFAULT '{}', owner integer, archived boolean NOT NULL DEFAULT false, seen timestamptz);
    INSERT INTO spaces SELECT n, 'Space ' || n, ARRAY[n], nullif(n % 3, 0), n % 4 = 0 FROM generate_series(1, 9) n";
pub(crate) const TARGET: &str = "\
    CREATE TABLE copies (space_id bigint PRIMARY KEY, path bigint[], owner integer, handle text, note text DEFAULT 'ours')";

pub(crate) fn mirror() -> Result<Mirror> {
    let mirror = Mirror::new(NAME, "main:public.spaces(id)", "ci:public.copies(space_id)")?;
    let mirror = mirror.column("path", "path")?.column("owner", "owner")?;
    Ok(mirror.expression("handle", "lower(name)")?.only_where("NOT archived")?)
}

pub(crate) fn builder(pair: &Pair) -> Result<lfk_core::Builder> {
    let builder = Engine::builder().database(Database::connect_lazy("main", &pair.main.url)?);
    Ok(builder.database(Database::connect_lazy("ci", &pair.ci.url)?))
}

/// The mirror, installed and active, and nothing filled yet.
pub(crate) async fn active(pair: &Pair) -> Result<Engine> {
    activated(builder(pair)?.mirrors([mirror()?]).build()?).await
}

pub(crate) async fn active_with(pair: &Pair, hook: Arc<dyn Hook>) -> Result<Engine> {
    activated(builder(pair)?.mirrors([mirror()?]).hook(hook).build()?).await
}

pub(crate) async fn activated(engine: Engine) -> Result<Engine> {
    let engine = scenario::installed(engine).await?;
    engine.set_state(&[NAME.to_owned()], State::Active, false).await?;
    Ok(engine)
}

/// Asks for a fill and works until nothing is left.
pub(crate) async fn fill(engine: &Engine) -> Result<()> {
    lfk_mirror::begin_backfill(engine, NAME, false).await?;
    scenario::drain(engine).await
}

/// What the target must have, told by the source itself.
pub(crate) async fn wanted(main: &TestDb) -> Result<Vec<String>> {
    rows(main, "SELECT (id, path, owner, lower(name))::text FROM spaces WHERE NOT archived ORDER BY id").await
}

pub(crate) async fn copied(ci: &TestDb) -> Result<Vec<String>> {
    rows(ci, "SELECT (space_id, path, owner, handle)::text FROM copies ORDER BY space_id").await
}

pub(crate) async fn rows(db: &TestDb, sql: &str) -> Result<Vec<String>> {
    Ok(db.rows(sql).await?.into_iter().flatten().flatten().collect())
}

pub(crate) async fn is_equal(pair: &Pair) -> Result<()> {
    let (wanted, copied) = (wanted(&pair.main).await?, copied(&pair.ci).await?);
    ensure!(wanted == copied, "the source has\n{}\nand the target\n{}", wanted.join("\n"), copied.join("\n"));
    let touched = rows(&pair.ci, "SELECT space_id::text FROM copies WHERE note IS DISTINCT FROM 'ours'").await?;
    ensure!(touched.is_empty(), "columns that are not mirrored were touched: {touched:?}");
    Ok(())
}

/// Ops and keys that are in the log.
pub(crate) async fn logged(main: &TestDb) -> Result<Vec<String>> {
    rows(main, "SELECT op::text || ' ' || coalesce((SELECT string_agg(k::text, ',' ORDER BY k) FROM unnest(keys) k), '') FROM lfk.key_log ORDER BY xid, id").await
}
