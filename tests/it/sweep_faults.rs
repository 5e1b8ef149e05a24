//! Sweeps that are killed, paused, or cannot run.

use std::time::Duration;

use anyhow::{Context as _, Result};
use lfk_core::sabotage::Point;
use lfk_core::{Drained, ErrorKind, LooseForeignKey, State};
use lfk_tests::scenario::{PATIENCE, active, drain, expire_leases};
use lfk_tests::{Pair, eventually};

use crate::clean_support::{ALL_BUILDS, BUILDS, Interference, PROJECTS, activated, builder, status, table};
use crate::log_support::{When, builds};

const NAME: &str = "builds.project_id";

/// Three chunks of child keys.
const MANY_PROJECTS: &str =
    "CREATE TABLE projects (id bigint PRIMARY KEY); INSERT INTO projects SELECT generate_series(1, 12000)";
const MANY_BUILDS: &str = "CREATE TABLE builds (id bigint PRIMARY KEY, project_id bigint);
    CREATE INDEX ON builds (project_id); INSERT INTO builds SELECT n, n FROM generate_series(1, 12000) n";
/// One project in a hundred is back.
const TRUNCATE: &str = "TRUNCATE projects; INSERT INTO projects SELECT generate_series(100, 12000, 100)";

fn at_once() -> Result<LooseForeignKey> {
    Ok(builds()?.settle_after(Duration::ZERO))
}

/// Every build of a living project is there, and no other.
async fn expect_swept(pair: &Pair, what: &str) -> Result<()> {
    let left: Vec<String> = (1..=120).map(|n| format!("({0},{0})", n * 100)).collect();
    assert_eq!(table(&pair.ci, "builds").await?, left, "{what}");
    assert_eq!(
        pair.main.scalar::<i64>("SELECT count(*) FROM lfk.retry WHERE consumer = 'builds.project_id'").await?,
        0,
        "{what}"
    );
    Ok(())
}

async fn looked_at(pair: &Pair) -> Result<i64> {
    pair.main.scalar(&format!("SELECT looked_at FROM lfk.sweep WHERE consumer = '{NAME}'")).await
}

#[tokio::test]
async fn c04_a_sweep_that_is_killed_goes_on_where_it_was() -> Result<()> {
    for point in Point::SWEEP {
        let pair = Pair::with_schema(MANY_PROJECTS, MANY_BUILDS).await?;
        // The second chunk, where there is one.
        let nth = if point == Point::SweepBegun { 1 } else { 2 };
        let engine = activated(builder(&pair)?.hook(When::dies(point, NAME, nth)), [at_once()?]).await?;
        pair.main.execute(TRUNCATE).await?;
        let error = engine.run_until_drained(Some(PATIENCE)).await.err().context("it did not die")?;
        assert_eq!(error.kind, ErrorKind::Crashed, "{point:?}: {error}");
        let stored = match point {
            Point::SweepBegun => 0,
            Point::SweepStored => 10_000,
            _ => 5_000,
        };
        assert_eq!(looked_at(&pair).await?, stored, "{point:?}");

        expire_leases(&pair.main).await?;
        let other = pair.engine([at_once()?])?;
        drain(&other).await?;
        expect_swept(&pair, &format!("{point:?}")).await?;
        assert_eq!(looked_at(&pair).await?, 12_000, "{point:?}: every key was counted once");
    }
    Ok(())
}

#[tokio::test]
async fn l16_a_sweep_stops_at_the_next_chunk_when_it_is_paused_or_stopped() -> Result<()> {
    for stop in [false, true] {
        let pair = Pair::with_schema(MANY_PROJECTS, MANY_BUILDS).await?;
        let other_process = pair.engine([at_once()?])?;
        let switch = Interference::at(Point::SweepStored, async move {
            if stop {
                other_process.set_stopped(true).await?;
            } else {
                other_process.set_state(&[NAME.to_owned()], State::Paused, false).await?;
            }
            Ok(())
        });
        let engine = activated(builder(&pair)?.hook(switch), [at_once()?]).await?;
        pair.main.execute(TRUNCATE).await?;
        let end = engine.run_until_drained(Some(PATIENCE)).await?;
        assert_eq!(end, if stop { Drained::NeedsAttention } else { Drained::Drained });
        assert_eq!(looked_at(&pair).await?, 5_000, "stop: {stop}");
        assert_eq!(pair.ci.scalar::<i64>("SELECT count(*) FROM builds").await?, 12_000, "stop: {stop}");

        engine.set_stopped(false).await?;
        engine.set_state(&[NAME.to_owned()], State::Active, false).await?;
        drain(&engine).await?;
        expect_swept(&pair, &format!("stop: {stop}")).await?;
        assert_eq!(looked_at(&pair).await?, 12_000, "stop: {stop}");
    }
    Ok(())
}

#[tokio::test]
async fn l13_a_sweep_that_lost_its_lease_stores_nothing() -> Result<()> {
    let pair = Pair::with_schema(MANY_PROJECTS, MANY_BUILDS).await?;
    let main = pair.main.clone();
    // While it looks for parents, its lease runs out and somebody else has it for a moment.
    let thief = Interference::at_turn(2, Point::SweepRead, async move {
        main.execute(&format!(
            "UPDATE lfk.cursor SET token = token + 1, owner = gen_random_uuid(), lease_until = '-infinity',
                    stamp = pg_current_xact_id() WHERE consumer = '{NAME}'"
        ))
        .await?;
        Ok(())
    });
    let engine = activated(builder(&pair)?.hook(thief.clone()), [builds()?]).await?;
    pair.main.execute(TRUNCATE).await?;
    assert_eq!(engine.run_once().await.unwrap_err().kind, ErrorKind::LeaseLost);
    engine.run_once().await?;
    assert_eq!((looked_at(&pair).await?, thief.passed()), (12_000, 4), "the second chunk was read once more");
    Ok(())
}

#[tokio::test]
async fn c04_a_sweep_that_cannot_run_blocks_with_its_reason_and_goes_on_by_itself() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [at_once()?]).await?;
    pair.main.execute("ALTER TABLE projects RENAME id TO number; DELETE FROM projects WHERE number = 1").await?;
    let handle = engine.start();
    let blocked = async || Ok(status(&engine).await?.condition == "blocked");
    eventually("it is blocked", PATIENCE, blocked).await?;
    let note = status(&engine).await?.note.context("no note")?;
    assert!(note.contains("column") && note.contains("id") && note.contains("main"), "{note}");
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS);

    pair.main.execute("ALTER TABLE projects RENAME number TO id").await?;
    let swept = async || Ok(table(&pair.ci, "builds").await? == ALL_BUILDS[2..]);
    eventually("it goes on", PATIENCE, swept).await?;
    let well = async || Ok(status(&engine).await?.condition == "ok");
    eventually("nothing is the matter any more", PATIENCE, well).await?;
    handle.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn c04_after_a_rename_that_stays_a_new_install_sweeps_what_was_deleted_meanwhile() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    active(&pair, [at_once()?]).await?;
    pair.main.execute("ALTER TABLE projects RENAME id TO number; DELETE FROM projects WHERE number = 1").await?;
    let definition = lfk_tests::scenario::loose("projects(number)", "builds(project_id)", lfk_core::OnDelete::Delete)?;
    let engine = active(&pair, [definition.settle_after(Duration::ZERO)]).await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    assert_eq!(table(&pair.ci, "bystanders").await?, ALL_BUILDS);
    Ok(())
}

#[tokio::test]
async fn c04_a_retyped_key_that_fits_again_is_swept() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [at_once()?]).await?;
    pair.main.execute("ALTER TABLE projects ALTER id TYPE numeric; DELETE FROM projects WHERE id = 1").await?;
    pair.main.execute("ALTER TABLE projects ALTER id TYPE bigint").await?;
    pair.main.execute("DELETE FROM projects WHERE id = 2").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[3..]);
    Ok(())
}
