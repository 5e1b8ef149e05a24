//! A mirror inside an application: `spaces` live in one database, and the other keeps a copy of three of their columns, to join
//! its builds with. The copy is filled, follows changes, is proven equal, damaged, and repaired.
//!
//! Needs two empty databases in `MAIN_DATABASE_URL` and `CI_DATABASE_URL`. Without any at hand:
//!
//! ```sh
//! cargo build -p lfk-tests --bins -p lfk-examples
//! target/debug/with-servers target/debug/mirror
//! ```

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lfk_core::{Database, Drained, Engine, State};
use lfk_mirror::{Mirror, Mirrors as _, Options};
use sqlx::PgPool;

/// `secret` stays where it is, and so do spaces that are archived.
const SPACES: &str =
    "CREATE TABLE spaces (id bigint PRIMARY KEY, name text, owner_id bigint, archived boolean NOT NULL, secret text);
    INSERT INTO spaces SELECT n, 'Space ' || n, n % 7, n % 10 = 0, 'hidden' FROM generate_series(1, 1000) n";
/// `color` belongs to the application on this side; the mirror never touches it.
const COPIES: &str =
    "CREATE TABLE space_mirrors (space_id bigint PRIMARY KEY, owner_id bigint, handle text, color text DEFAULT 'red')";

#[tokio::main]
async fn main() -> Result<()> {
    tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::WARN).init();
    let main = PgPool::connect(&variable("MAIN_DATABASE_URL")?).await?;
    let ci = PgPool::connect(&variable("CI_DATABASE_URL")?).await?;
    sqlx::raw_sql(SPACES).execute(&main).await?;
    sqlx::raw_sql(COPIES).execute(&ci).await?;

    let spaces = Mirror::new("spaces", "main:public.spaces(id)", "ci:public.space_mirrors(space_id)")?
        .column("owner_id", "owner_id")?
        .expression("handle", "lower(replace(name, ' ', '-'))")?
        .only_where("NOT archived")?;
    let (source, target) = (Database::new("main", main.clone()), Database::new("ci", ci.clone()));
    let engine =
        Engine::builder().database(source.clone()).database(target.clone()).mirrors([spaces.clone()]).build()?;
    // Refuses what `engine.plan()` refuses: here an expression that is not IMMUTABLE, or a target without a key.
    engine.install().await?;
    engine.set_state(&["spaces".to_owned()], State::Active, false).await?;

    // From here on the work is done in the background. Changes are followed at once; the fill brings what was there before.
    let handle = engine.start();
    lfk_mirror::begin_backfill(&engine, "spaces", false).await?;
    sqlx::raw_sql(
        "DELETE FROM spaces WHERE id <= 100; UPDATE spaces SET archived = true WHERE id = 101;
         UPDATE spaces SET name = 'Renamed' WHERE id = 102; INSERT INTO spaces VALUES (2000, 'New Space', 1, false, 'hidden')",
    )
    .execute(&main)
    .await?;
    follows(&engine).await?;
    let options = Options::default();
    let before = lfk_mirror::check(&spaces, &source, &target, &options).await?;
    ensure!(before.complete && before.confirmed.total() == 0, "the mirror should be equal: {before:?}");

    // Somebody's mistake on the wrong side. A check tells it from rows that are merely on their way, and may repair it.
    sqlx::raw_sql("UPDATE space_mirrors SET handle = 'wrong' WHERE space_id = 102; DELETE FROM space_mirrors WHERE space_id = 103")
        .execute(&ci)
        .await?;
    let mut repairing = Options::default();
    repairing.repair = true;
    let damaged = lfk_mirror::check(&spaces, &source, &target, &repairing).await?;
    let after = lfk_mirror::check(&spaces, &source, &target, &options).await?;
    handle.shutdown().await?;

    let colors: i64 =
        sqlx::query_scalar("SELECT count(*) FROM space_mirrors WHERE color = 'red'").fetch_one(&ci).await?;
    println!(
        "{} rows compared, {} differed, {} differ now; {colors} kept their color",
        after.checked_rows,
        damaged.confirmed.total(),
        after.confirmed.total()
    );
    // 1000 spaces without 100 archived ones, 90 deleted ones and the one archived later, and with the new one.
    ensure!((after.checked_rows, damaged.confirmed.total(), after.confirmed.total(), colors) == (810, 2, 0, 810));
    Ok(())
}

/// Until the target has everything. A program that serves requests has no need to wait.
async fn follows(engine: &Engine) -> Result<()> {
    let end = engine.run_until_drained(Some(Duration::from_secs(30))).await?;
    ensure!(end == Drained::Drained, "not drained: {end:?}");
    Ok(())
}

fn variable(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("set {name} to the URL of an empty database"))
}
