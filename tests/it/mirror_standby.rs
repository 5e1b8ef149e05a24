//! F3 for fills: pages that are read from a standby, and what a fill wrote that the target then lost.

use std::sync::Arc;
use std::sync::Mutex;

use anyhow::{Context as _, Result, ensure};
use lfk_core::sabotage::Point;
use lfk_core::{Database, Engine, ErrorKind};
use lfk_mirror::Mirrors as _;
use lfk_tests::scenario::drain;
use lfk_tests::{Cluster, Pair, Proxy, Role, TestDb, eventually};

use crate::fault_hook::{At, Gate, SOON, Task};
use crate::mirror_support::{NAME, SOURCE, TARGET, active, active_with, fill, is_equal, mirror, rows};

/// The same database on another server.
fn on(db: &TestDb, cluster: &Cluster) -> Result<TestDb> {
    let mut there = db.clone();
    there.url = cluster.url(&there.name);
    there.pool = sqlx::PgPool::connect_lazy(&there.url)?;
    Ok(there)
}

#[tokio::test(flavor = "multi_thread")]
async fn f3_a_page_of_a_fill_is_never_read_from_a_standby() -> Result<()> {
    let primary = Cluster::start_with(&[("wal_level", "replica")]).await?;
    let pair = Pair { main: TestDb::on(&primary).await?, ci: TestDb::new(Role::Ci).await? };
    pair.main.execute(SOURCE).await?;
    pair.ci.execute(TARGET).await?;
    let plain = active(&pair).await?;
    fill(&plain).await?;
    lfk_mirror::begin_backfill(&plain, NAME, true).await?;
    let standby = primary.start_standby().await?;
    let name = Arc::new(Proxy::in_front_of(&primary).await?);
    let behind = on(&pair.main, &standby)?;
    let gate = Gate::at(Point::FillPageBegun, 1);
    let builder = Engine::builder().database(Database::connect_lazy("main", &name.url(&pair.main.name))?);
    let builder = builder.database(Database::connect_lazy("ci", &pair.ci.url)?);
    let engine = lfk_tests::scenario::installed(builder.mirrors([mirror()?]).hook(gate.clone()).build()?).await?;
    let worker = Task::spawn(async move { engine.run_once().await });
    gate.is_held().await?;
    // The standby has the lease and the fill, and stays at that; the target has what came after.
    let now: String = pair.main.scalar("SELECT pg_current_wal_insert_lsn()::text").await?;
    let replayed = format!("SELECT pg_last_wal_replay_lsn() >= '{now}'");
    eventually("the standby has everything", SOON, async || behind.scalar(&replayed).await).await?;
    behind.execute("SELECT pg_wal_replay_pause()").await?;
    let paused = "SELECT pg_get_wal_replay_pause_state() = 'paused'";
    eventually("the standby stands still", SOON, async || behind.scalar(paused).await).await?;
    pair.main.execute("UPDATE spaces SET owner = 500 WHERE id = 1").await?;
    pair.ci.execute("UPDATE copies SET owner = 500 WHERE space_id = 1").await?;
    name.lead_to(&standby);
    name.cut().await?;
    gate.open();
    let error = worker.end().await?.err().context("it was not refused")?;
    ensure!(error.message.contains("standby"), "{error}");
    ensure!(error.hint.as_deref().is_some_and(|hint| hint.contains("primary")), "{error:?}");
    assert_eq!(
        rows(&pair.ci, "SELECT owner::text FROM copies WHERE space_id = 1").await?,
        ["500"],
        "old rows were written"
    );
    lfk_tests::scenario::expire_leases(&pair.main).await?;
    drain(&active(&pair).await?).await?;
    is_equal(&pair).await
}

#[tokio::test]
async fn f3_a_target_that_lost_what_the_fill_of_a_marker_wrote_is_refused() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    let engine = active(&pair).await?;
    fill(&engine).await?;
    engine.run_once().await?;
    let nonce = "SELECT nonce::text FROM lfk.peer";
    let copied = rows(&pair.ci, "SELECT space_id::text FROM copies").await?;
    assert_eq!(copied.len(), 7);
    pair.main.execute("TRUNCATE spaces").await?;
    // How a standby has the target that is cut off in the middle of the turn: the rows are there, and its nonce.
    let seen = Arc::new(Mutex::new(String::new()));
    let hook = {
        let (ci, seen) = (pair.ci.clone(), seen.clone());
        At::the(Point::FenceRaised, 1, move || {
            let (ci, seen) = (ci.clone(), seen.clone());
            async move {
                let now: String = ci.scalar(nonce).await?;
                *seen.lock().unwrap() = now;
                ci.execute("CREATE TABLE kept AS SELECT * FROM copies").await?;
                Ok(())
            }
        })
    };
    active_with(&pair, hook).await?.run_once().await?;
    assert_eq!(
        rows(&pair.ci, "SELECT space_id::text FROM copies").await?,
        [""; 0],
        "the marker's fill removed nothing"
    );
    let seen = seen.lock().unwrap().clone();
    pair.ci.execute(&format!("UPDATE lfk.peer SET nonce = '{seen}'; INSERT INTO copies SELECT * FROM kept")).await?;
    pair.main.execute("INSERT INTO spaces VALUES (50, 'New')").await?;
    let error = engine.run_once().await.err().context("what came back was not noticed")?;
    ensure!(error.kind == ErrorKind::Refused && error.message.contains("no longer agree"), "{error}");
    assert_eq!(rows(&pair.ci, "SELECT space_id::text FROM copies WHERE space_id = 50").await?, [""; 0]);
    Ok(())
}
