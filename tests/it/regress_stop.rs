//! Who stops, or waits for somebody who died, does so soon: limits of speed, time limits, and leases of the dead.

use std::time::Duration;

use anyhow::{Context as _, Result};
use lfk_core::sabotage::Point;
use lfk_core::{Database, Drained, Engine, ErrorKind, Limits, LooseForeignKey, OnDelete};
use lfk_tests::scenario::{PATIENCE, active, loose};
use lfk_tests::{Pair, TestDb, eventually};

use crate::clean_support::{ALL_BUILDS, BUILDS, PROJECTS, Place, activated, builder, retries, table};
use crate::fault_hook::{At, SOON};
use crate::log_support::When;

fn builds() -> Result<LooseForeignKey> {
    loose("projects(id)", "builds(project_id)", OnDelete::Delete)
}

/// More children of project 1 than twenty a second are done with in a minute.
const CROWD: &str = "INSERT INTO builds SELECT n, 1, 0 FROM generate_series(1001, 2500) n;";

/// Project 1 goes, and its children may go at twenty a second, however many statements that takes.
async fn slowly(place: Place) -> Result<(Pair, Engine)> {
    let pair = place.pair(PROJECTS, &format!("{BUILDS} {CROWD}")).await?;
    let ci = Database::connect_lazy("ci", &pair.ci.url)?.with_limits(Limits::new(Some(20), None));
    let databases = Engine::builder().database(Database::connect_lazy("main", &pair.main.url)?).database(ci);
    let engine = activated(databases, [builds()?]).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    Ok((pair, engine))
}

async fn children(ci: &TestDb) -> Result<i64> {
    ci.scalar("SELECT count(*) FROM builds WHERE project_id = 1").await
}

/// Nobody has to wait for a lease, nothing is set aside by being stopped, and nothing else was touched. At twenty rows a
/// statement the key is wide as soon as somebody has counted.
async fn left_in_peace(pair: &Pair) -> Result<()> {
    assert_eq!(pair.main.scalar::<i64>("SELECT count(*) FROM lfk.cursor WHERE owner IS NOT NULL").await?, 0);
    let aside = retries(&pair.main).await?;
    assert!(aside.iter().all(|one| one == "({1},wide,,f)"), "{aside:?}");
    assert_eq!(table(&pair.ci, "builds WHERE project_id <> 1").await?, ["(21,2,0)", "(31,3,)"]);
    Ok(())
}

#[tokio::test]
async fn l16_shutdown_does_not_wait_until_rows_are_paid_for() -> Result<()> {
    for place in [Place::AnotherServer, Place::SameDatabase] {
        let (pair, engine) = slowly(place).await?;
        let handle = engine.start();
        eventually("it works", PATIENCE, async || Ok(children(&pair.ci).await? < 1502)).await?;
        // What one statement took at first is what one second allows.
        assert!(children(&pair.ci).await? >= 1502 - 60, "{place:?}");
        tokio::time::timeout(SOON, handle.shutdown()).await??;
        assert!(children(&pair.ci).await? > 500, "it was done before it was stopped");
        left_in_peace(&pair).await?;
    }
    Ok(())
}

#[tokio::test]
async fn l16_a_run_ends_in_time_although_rows_are_not_paid_for() -> Result<()> {
    let (pair, engine) = slowly(Place::AnotherServer).await?;
    let run = engine.run_until_drained(Some(Duration::from_secs(1)));
    assert_eq!(tokio::time::timeout(SOON, run).await??, Drained::TimedOut);
    let left = children(&pair.ci).await?;
    assert!((500..1502).contains(&left), "{left}");
    left_in_peace(&pair).await
}

#[tokio::test]
async fn l16_shutdown_does_not_wait_until_a_statement_may_be_sent() -> Result<()> {
    // Each of the 200 leaves takes a statement, and one may be sent a second.
    let parts = "CREATE TABLE builds (id bigint, project_id bigint, status int) PARTITION BY LIST (id);
        CREATE INDEX ON builds (project_id);
        DO $$ BEGIN FOR i IN 1..200 LOOP
          EXECUTE format('CREATE TABLE builds_%s PARTITION OF builds FOR VALUES IN (%s)', i, i); END LOOP; END $$;
        INSERT INTO builds SELECT n, 1 FROM generate_series(1, 200) n";
    let pair = Pair::with_schema(PROJECTS, parts).await?;
    let ci = Database::connect_lazy("ci", &pair.ci.url)?.with_limits(Limits::new(None, Some(1)));
    let databases = Engine::builder().database(Database::connect_lazy("main", &pair.main.url)?).database(ci);
    let engine = activated(databases, [builds()?]).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    let handle = engine.start();
    eventually("it works", PATIENCE, async || Ok(children(&pair.ci).await? < 200)).await?;
    tokio::time::timeout(SOON, handle.shutdown()).await??;
    assert!(children(&pair.ci).await? > 100, "it was done before it was stopped");
    assert_eq!(retries(&pair.main).await?, [""; 0]);
    Ok(())
}

/// Project 1 is deleted, and the worker that had begun with it is dead. Its lease lasts a second more.
async fn a_worker_died() -> Result<Pair> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    active(&pair, [builds()?]).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    let dying =
        builder(&pair)?.hook(When::dies(Point::Opened, "builds.project_id", 1)).definitions([builds()?]).build()?;
    let died = dying.run_once().await.err().context("it did not die")?;
    assert_eq!(died.kind, ErrorKind::Crashed);
    let owned = "SELECT owner IS NOT NULL AND lease_until > clock_timestamp() FROM lfk.cursor WHERE settle IS NULL";
    assert!(pair.main.scalar::<bool>(owned).await?, "it left its lease behind");
    soon_over(&pair.main).await?;
    Ok(pair)
}

async fn soon_over(main: &TestDb) -> Result<()> {
    let soon = "lease_until = clock_timestamp() + interval '1 s', stamp = pg_current_xact_id()";
    main.execute(&format!("UPDATE lfk.cursor SET {soon} WHERE settle IS NULL")).await?;
    Ok(())
}

#[tokio::test]
async fn l13_a_single_visit_waits_for_the_lease_of_the_dead() -> Result<()> {
    let pair = a_worker_died().await?;
    assert_eq!(pair.engine([builds()?])?.run_once().await?, Drained::Drained);
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    Ok(())
}

#[tokio::test]
async fn l13_a_single_visit_that_waits_for_a_lease_can_be_stopped() -> Result<()> {
    let pair = a_worker_died().await?;
    pair.main.execute("UPDATE lfk.cursor SET lease_until = 'infinity', stamp = pg_current_xact_id()").await?;
    let engine = pair.engine([builds()?])?;
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let visit = engine.run_once_or(async { stopped.await.unwrap_or(()) });
    tokio::pin!(visit);
    assert!(tokio::time::timeout(Duration::from_millis(500), &mut visit).await.is_err(), "it does not wait");
    let _ = stop.send(());
    assert_eq!(tokio::time::timeout(SOON, visit).await??, Drained::Stopped);
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS);
    Ok(())
}

#[tokio::test]
async fn l13_a_single_visit_that_loses_its_lease_does_not_say_that_it_was_made() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    active(&pair, [builds()?]).await?;
    let main = pair.main.clone();
    // Somebody takes the lease over while nothing is done yet, and dies at once.
    let thief = At::the(Point::PageRead, 1, move || {
        let main = main.clone();
        async move {
            let taken = "token = token + 1, owner = gen_random_uuid(), stamp = pg_current_xact_id()";
            main.execute(&format!("UPDATE lfk.cursor SET {taken} WHERE settle IS NULL")).await?;
            soon_over(&main).await
        }
    });
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    let engine = builder(&pair)?.hook(thief.clone()).definitions([builds()?]).build()?;
    let lost = engine.run_once().await.err().context("nothing was visited")?;
    assert_eq!(lost.kind, ErrorKind::LeaseLost, "{lost}");
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS);
    // The next one waits for that lease.
    assert_eq!(engine.run_once().await?, Drained::Drained);
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    Ok(())
}
