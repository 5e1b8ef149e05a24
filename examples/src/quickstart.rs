//! The library in one go: two databases, one loose foreign key, parents deleted in one of them, children gone in the other.
//!
//! Needs two empty databases in `MAIN_DATABASE_URL` and `CI_DATABASE_URL`. Without any at hand:
//!
//! ```sh
//! cargo build -p lfk-tests --bins -p lfk-examples
//! target/debug/with-servers target/debug/quickstart
//! ```

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lfk_core::{Database, Drained, Engine, LooseForeignKey, OnDelete, State};
use sqlx::PgPool;

const PROJECTS: &str = "CREATE TABLE projects (id bigint PRIMARY KEY);
    INSERT INTO projects SELECT generate_series(1, 10)";
const BUILDS: &str = "CREATE TABLE ci_builds (id bigint PRIMARY KEY, project_id bigint NOT NULL);
    INSERT INTO ci_builds SELECT n, 1 + n % 10 FROM generate_series(1, 1000) n;
    CREATE INDEX ON ci_builds (project_id)";

#[tokio::main]
async fn main() -> Result<()> {
    tracing_subscriber::fmt().with_max_level(tracing_subscriber::filter::LevelFilter::WARN).init();
    // The application's own pools. The engine takes clones of them, or makes pools with `Database::connect_lazy`.
    let main = PgPool::connect(&variable("MAIN_DATABASE_URL")?).await?;
    let ci = PgPool::connect(&variable("CI_DATABASE_URL")?).await?;
    sqlx::raw_sql(PROJECTS).execute(&main).await?;
    sqlx::raw_sql(BUILDS).execute(&ci).await?;

    let builds = LooseForeignKey::new("main:public.projects(id)", "ci:public.ci_builds(project_id)", OnDelete::Delete)?;
    let names = vec![builds.name.clone()];
    // Touches no network, and reads no environment.
    let engine = Engine::builder()
        .database(Database::new("main", main.clone()))
        .database(Database::new("ci", ci.clone()))
        .definitions([builds])
        .build()?;

    let plan = engine.plan().await?;
    for finding in plan.loose_foreign_keys.iter().flat_map(|definition| &definition.findings) {
        println!("{}: {}", finding.code, finding.message);
    }
    ensure!(!plan.is_refused(), "the plan is refused");
    engine.install().await?;
    // Until here it would only observe, and count.
    engine.set_state(&names, State::Active, false).await?;

    // From here on the work is done in the background, as long as the program runs.
    let handle = engine.start();
    sqlx::raw_sql("DELETE FROM projects WHERE id <= 4").execute(&main).await?;

    // A program that serves requests has no need to wait. This one does, for whoever does the work.
    let end = engine.run_until_drained(Some(Duration::from_secs(30))).await?;
    ensure!(end == Drained::Drained, "not drained: {end:?}");
    for definition in engine.status().await?.loose_foreign_keys {
        let state = definition.state.map_or("not installed", State::as_str);
        println!(
            "{}: {state}, {} pending, {} rows changed",
            definition.name, definition.pending_keys, definition.rows_affected_total
        );
    }
    // Stops between two batches and gives the leases back. Dropping the handle would be a crash, which is safe too.
    handle.shutdown().await?;

    let (left, orphans): (i64, i64) =
        sqlx::query_as("SELECT count(*), count(*) FILTER (WHERE project_id <= 4) FROM ci_builds")
            .fetch_one(&ci)
            .await?;
    println!("{left} builds are left, {orphans} of them orphans");
    ensure!((left, orphans) == (600, 0), "400 builds of the 4 projects should be gone, and no other");
    Ok(())
}

fn variable(name: &str) -> Result<String> {
    std::env::var(name).with_context(|| format!("set {name} to the URL of an empty database"))
}
