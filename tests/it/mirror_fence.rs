//! F3 and C4 for mirrors: a fence of a past that the source has lost, and tables that take each other's place.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lfk_core::sabotage::Point;
use lfk_core::{Engine, OnDelete, State};
use lfk_tests::scenario::{PATIENCE, active as active_loose, as_installer, drain, expire_leases, loose};
use lfk_tests::{Pair, eventually};

use crate::fault_hook::{Gate, Task};
use crate::mirror_support::{NAME, SOURCE, TARGET, active, active_with, fill, is_equal, rows};

/// What a failover to a standby that lost so many claims leaves: the fence of the target has seen them.
async fn lose_claims(pair: &Pair, claims: i64) -> Result<()> {
    pair.ci.execute(&format!("UPDATE lfk.mirror_fence SET token = token + {claims}")).await?;
    Ok(())
}

#[tokio::test]
async fn f3_a_fence_that_is_ahead_of_the_cursor_is_outranked_at_once_and_the_mirror_filled_anew() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    let engine = active(&pair).await?;
    fill(&engine).await?;
    lose_claims(&pair, 1_000).await?;
    // A row that the lost commits had written, and that no log speaks of.
    pair.ci.execute("INSERT INTO copies VALUES (900, '{}', 1, 'lost')").await?;
    pair.main.execute("UPDATE spaces SET owner = 9 WHERE id = 1").await?;
    let before: i64 = pair.main.scalar("SELECT token FROM lfk.cursor WHERE settle IS NULL").await?;
    engine.run_once().await?;
    is_equal(&pair).await?;
    // One claim was enough, and every later one is above the fence.
    let token: i64 = pair.main.scalar("SELECT token FROM lfk.cursor WHERE settle IS NULL").await?;
    assert_eq!(pair.ci.scalar::<i64>("SELECT token FROM lfk.mirror_fence").await?, token);
    let said = rows(&pair.main, "SELECT detail::text FROM lfk.audit WHERE event = 'fence_ahead'").await?;
    assert_eq!(said.len(), 1, "it was not said, or more than once: {said:?}");
    assert!(token > 1_000 && token < before + 1_010, "{token}");
    pair.main.execute("UPDATE spaces SET owner = 10 WHERE id = 1").await?;
    drain(&engine).await?;
    is_equal(&pair).await?;
    assert_eq!(rows(&pair.main, "SELECT 1::text FROM lfk.audit WHERE event = 'fence_ahead'").await?, ["1"]);
    Ok(())
}

#[tokio::test]
async fn m02_a_fence_that_was_outranked_still_keeps_out_whoever_stalled() -> Result<()> {
    for at in [Point::FenceRaised, Point::WriteBegun, Point::NonceOffered] {
        let pair = Pair::with_schema(SOURCE, TARGET).await?;
        fill(&active(&pair).await?).await?;
        lose_claims(&pair, 50).await?;
        let gate = Gate::at(at, 1);
        let slow = active_with(&pair, gate.clone()).await?;
        pair.main.execute("UPDATE spaces SET owner = 100 WHERE id = 1").await?;
        let stalled = Task::spawn(async move { slow.run_once().await });
        gate.is_held().await?;
        expire_leases(&pair.main).await?;
        pair.main.execute("UPDATE spaces SET owner = 200 WHERE id = 1").await?;
        drain(&active(&pair).await?).await?;
        let fence: i64 = pair.ci.scalar("SELECT token FROM lfk.mirror_fence").await?;
        // As if the stalled one had read the old row: what it would write now is wrong.
        pair.ci.execute("UPDATE copies SET owner = 300 WHERE space_id = 1").await?;
        gate.open();
        drop(stalled.end().await?);
        let owner = rows(&pair.ci, "SELECT owner::text FROM copies WHERE space_id = 1").await?;
        ensure!(owner == ["300"], "{at:?}: the stalled writer wrote {owner:?}");
        ensure!(
            pair.ci.scalar::<i64>("SELECT token FROM lfk.mirror_fence").await? == fence,
            "{at:?}: it raised the fence"
        );
    }
    Ok(())
}

#[tokio::test]
async fn m02_a_fence_that_is_being_raised_is_nobodys_lock() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    let engine = active(&pair).await?;
    fill(&engine).await?;
    for at in [Point::Paired, Point::WriteBegun] {
        let gate = Gate::at(at, 1);
        let slow = active_with(&pair, gate.clone()).await?;
        pair.main.execute("UPDATE spaces SET owner = coalesce(owner, 0) + 1").await?;
        let writer = Task::spawn(async move { slow.run_once().await });
        gate.is_held().await?;
        let mut raising = pair.ci.pool.begin().await?;
        sqlx::query("SELECT FROM lfk.mirror_fence FOR UPDATE").execute(&mut *raising).await?;
        gate.open();
        let error = writer.end().await?.err().context("it did not notice")?;
        ensure!(error.kind == lfk_core::ErrorKind::Held && error.message.contains("fence"), "{at:?}: {error}");
        raising.rollback().await?;
        let aside = engine.retries(&lfk_core::SetAsideFilter::default(), 10).await?;
        ensure!(aside.set_aside.is_empty(), "{at:?}: {:?}", aside.set_aside.len());
        drain(&engine).await?;
        is_equal(&pair).await?;
    }
    Ok(())
}

/// Works until the only definition is blocked. Answers with its note.
async fn blocked(engine: &Engine, note: &str) -> Result<()> {
    let handle = engine.start();
    let said = async || {
        let status = engine.status().await?;
        let all = status.loose_foreign_keys.iter().map(|d| d.note.clone());
        let mut all = all.chain(status.mirrors.iter().map(|m| m.note.clone()));
        Ok(all.any(|said| said.is_some_and(|said| said.contains(note) && said.contains("lfk install"))))
    };
    eventually("it is blocked", Duration::from_secs(30), said).await?;
    handle.shutdown().await?;
    Ok(())
}

/// What the coverage check says of a swap, and what the alerts count.
async fn is_covered_no_more(pair: &Pair) -> Result<()> {
    let found = rows(&pair.main, "SELECT outcome || ' ' || detail FROM lfk.cover() WHERE outcome = 'swapped'").await?;
    ensure!(found.len() == 1 && found[0].contains("lfk install"), "{found:?}");
    let gaps = rows(&pair.main, "SELECT name || ' ' || outcome FROM lfk.covered WHERE outcome = 'swapped'").await?;
    ensure!(gaps.len() == 1, "{gaps:?}");
    Ok(())
}

#[tokio::test]
async fn c05_a_source_that_another_table_took_the_place_of_blocks_the_mirror_until_it_is_installed_anew() -> Result<()>
{
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    let engine = active(&pair).await?;
    fill(&engine).await?;
    pair.main
        .execute("CREATE TABLE fresh (LIKE spaces INCLUDING ALL); INSERT INTO fresh VALUES (1, 'Fresh');
                  ALTER TABLE spaces RENAME TO old_spaces; ALTER TABLE fresh RENAME TO spaces; UPDATE old_spaces SET owner = 5")
        .await?;
    let before = rows(&pair.ci, "SELECT space_id::text FROM copies ORDER BY 1").await?;
    blocked(&engine, "is another table").await?;
    assert_eq!(rows(&pair.ci, "SELECT space_id::text FROM copies ORDER BY 1").await?, before, "it went on");
    is_covered_no_more(&pair).await?;
    lfk_tests::scenario::let_again(&engine).await?;
    as_installer(&engine)?.install().await?;
    engine.set_state(&[NAME.to_owned()], State::Active, false).await?;
    lfk_mirror::begin_backfill(&engine, NAME, true).await?;
    drain(&engine).await?;
    is_equal(&pair).await
}

#[tokio::test]
async fn c05_a_parent_that_another_table_took_the_place_of_blocks_its_definition() -> Result<()> {
    let parents = "CREATE TABLE projects (id bigint PRIMARY KEY); INSERT INTO projects SELECT generate_series(1, 9)";
    let children =
        "CREATE TABLE builds (id bigint PRIMARY KEY, project_id bigint); CREATE INDEX ON builds (project_id);
                    INSERT INTO builds SELECT n, n FROM generate_series(1, 9) n";
    let pair = Pair::with_schema(parents, children).await?;
    let engine = active_loose(&pair, [loose("projects(id)", "builds(project_id)", OnDelete::Delete)?]).await?;
    drain(&engine).await?;
    pair.main
        .execute("CREATE TABLE fresh (id bigint PRIMARY KEY); ALTER TABLE projects RENAME TO old_projects;
                  ALTER TABLE fresh RENAME TO projects; DELETE FROM old_projects WHERE id < 4; GRANT SELECT ON projects TO PUBLIC")
        .await?;
    blocked(&engine, "is another table").await?;
    assert_eq!(
        pair.ci.scalar::<i64>("SELECT count(*) FROM builds").await?,
        9,
        "children were deleted by the wrong table"
    );
    is_covered_no_more(&pair).await?;
    // Swapped back, all is as it was.
    pair.main.execute("ALTER TABLE projects RENAME TO fresh; ALTER TABLE old_projects RENAME TO projects").await?;
    assert_eq!(rows(&pair.main, "SELECT outcome FROM lfk.cover()").await?, [""; 0]);
    engine.run_until_drained(Some(PATIENCE)).await?;
    assert_eq!(pair.ci.scalar::<i64>("SELECT count(*) FROM builds").await?, 6);
    Ok(())
}

#[tokio::test]
async fn c05_a_target_that_another_table_took_the_place_of_is_filled_anew() -> Result<()> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    let engine = active(&pair).await?;
    fill(&engine).await?;
    pair.ci
        .execute("CREATE TABLE fresh (LIKE copies INCLUDING ALL); ALTER TABLE copies RENAME TO old_copies; ALTER TABLE fresh RENAME TO copies")
        .await?;
    lfk_tests::scenario::let_again(&engine).await?;
    pair.main.execute("UPDATE spaces SET owner = 5 WHERE id = 1").await?;
    drain(&engine).await?;
    engine.run_once().await?;
    is_equal(&pair).await?;
    assert_eq!(rows(&pair.main, "SELECT definition FROM lfk.audit WHERE event = 'target_replaced'").await?, [NAME]);
    Ok(())
}
