//! What a TRUNCATE of a parent leaves without a list of keys is found by looking at every child key.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::Result;
use lfk_core::sabotage::{Point, Verdict};
use lfk_core::{LooseForeignKey, State};
use lfk_tests::scenario::{PATIENCE, active, drain, installed};
use lfk_tests::{Pair, TestDb, eventually};

use crate::clean_support::{
    ALL_BUILDS, BUILDS, Interference, PROJECTS, Place, activated, builder, retries, status, table,
};
use crate::log_support::{When, builds, let_pass, trail};

const NAME: &str = "builds.project_id";
const HOUR: Duration = Duration::from_secs(3600);

/// A suspect is looked at again as soon as every transaction of its time has ended.
fn at_once() -> Result<LooseForeignKey> {
    Ok(builds()?.settle_after(Duration::ZERO))
}

/// Counts the sweeps that the first visit begins.
fn counting(sweeps: &Arc<AtomicUsize>) -> Arc<When> {
    let sweeps = sweeps.clone();
    When::passing(move |point, who| {
        let begun = point == Point::SweepBegun && who == NAME;
        sweeps.fetch_add(usize::from(begun), Ordering::SeqCst);
        async { Ok(Verdict::GoOn) }
    })
}

/// Key, reason and whether anybody may look again by the clock; of the first visit.
async fn suspects(home: &TestDb) -> Result<Vec<String>> {
    let due = "not_before <= clock_timestamp()";
    table(home, &format!("(SELECT key, reason, {due} FROM lfk.retry WHERE consumer = '{NAME}') r")).await
}

#[tokio::test]
async fn c04_a_truncate_of_a_parent_cleans_its_orphans_and_nothing_else() -> Result<()> {
    for place in Place::ALL {
        let pair = place.pair(PROJECTS, BUILDS).await?;
        let engine = active(&pair, [at_once()?]).await?;
        // One of them is back at once.
        pair.main.execute("TRUNCATE projects; INSERT INTO projects VALUES (2, 'two')").await?;
        drain(&engine).await?;
        assert_eq!(table(&pair.ci, "builds").await?, ["(21,2,0)", "(90,,0)"], "{place:?}");
        assert_eq!(table(&pair.ci, "bystanders").await?, ALL_BUILDS, "{place:?}");
        assert_eq!(table(&pair.main, "projects").await?, ["(2,two)"], "{place:?}");
        assert_eq!(suspects(&pair.main).await?, [""; 0], "{place:?}");
        assert_eq!(status(&engine).await?.condition, "ok", "{place:?}");
    }
    Ok(())
}

#[tokio::test]
async fn c04_a_truncate_of_a_tree_a_partition_or_by_cascade_is_swept() -> Result<()> {
    let parents = "
        CREATE TABLE groups (id bigint PRIMARY KEY); INSERT INTO groups VALUES (7);
        CREATE TABLE projects (id bigint PRIMARY KEY, group_id bigint REFERENCES groups) PARTITION BY RANGE (id);
        CREATE TABLE low PARTITION OF projects FOR VALUES FROM (1) TO (3);
        CREATE TABLE high PARTITION OF projects FOR VALUES FROM (3) TO (9);
        INSERT INTO projects VALUES (1, 7), (2, 7), (3, 7)";
    for (truncate, left) in [
        ("TRUNCATE projects", &["(90,,0)"][..]),
        ("TRUNCATE low", &["(31,3,)", "(90,,0)"]),
        ("TRUNCATE groups CASCADE", &["(90,,0)"]),
    ] {
        let pair = Pair::with_schema(parents, BUILDS).await?;
        let engine = active(&pair, [at_once()?]).await?;
        pair.main.execute(truncate).await?;
        drain(&engine).await?;
        assert_eq!(table(&pair.ci, "builds").await?, left, "{truncate}");
    }
    Ok(())
}

#[tokio::test]
async fn c04_a_truncate_that_is_rolled_back_is_not_swept() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let sweeps = Arc::default();
    let engine = activated(builder(&pair)?.hook(counting(&sweeps)), [at_once()?]).await?;
    pair.main.execute("BEGIN; TRUNCATE projects; ROLLBACK; DELETE FROM projects WHERE id = 1").await?;
    drain(&engine).await?;
    assert_eq!(sweeps.load(Ordering::SeqCst), 0);
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    Ok(())
}

#[tokio::test]
async fn c04_keys_before_and_after_a_truncate_are_cleaned_too() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    // The suspects of the sweep wait; the keys of the log do not.
    let engine = active(&pair, [builds()?.settle_after(HOUR)]).await?;
    for statement in [
        "DELETE FROM projects WHERE id = 1",
        "TRUNCATE projects",
        "INSERT INTO projects VALUES (2, 'two'), (3, 'three')",
        "DELETE FROM projects WHERE id = 3",
    ] {
        pair.main.execute(statement).await?;
    }
    engine.run_once().await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(21,2,0)", "(90,,0)"]);
    Ok(())
}

#[tokio::test]
async fn c04_several_truncates_are_covered_by_one_sweep() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let sweeps = Arc::default();
    let engine = activated(builder(&pair)?.hook(counting(&sweeps)), [at_once()?]).await?;
    for project in 1..=3 {
        pair.main.execute("TRUNCATE projects").await?;
        pair.main.execute(&format!("INSERT INTO projects VALUES ({project}, 'a')")).await?;
    }
    drain(&engine).await?;
    assert_eq!(sweeps.load(Ordering::SeqCst), 1);
    assert_eq!(table(&pair.ci, "builds").await?, ["(31,3,)", "(90,,0)"]);
    Ok(())
}

#[tokio::test]
async fn c04_a_truncate_during_a_sweep_leads_to_another_one() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let main = pair.main.clone();
    // Projects 2 and 3 were looked at, and were there.
    let again = Interference::at(Point::SweepStored, async move {
        main.execute("TRUNCATE projects").await?;
        Ok(())
    });
    let engine = activated(builder(&pair)?.hook(again.clone()), [at_once()?]).await?;
    pair.main.execute("TRUNCATE projects; INSERT INTO projects VALUES (2, 'two'), (3, 'three')").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(90,,0)"]);
    Ok(())
}

#[tokio::test]
async fn c04_a_parent_in_an_open_transaction_keeps_its_children() -> Result<()> {
    for end in ["COMMIT", "ROLLBACK"] {
        let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
        let engine = active(&pair, [at_once()?]).await?;
        pair.main.execute("TRUNCATE projects; INSERT INTO projects VALUES (2, 'two')").await?;
        let mut application = pair.main.connect().await?;
        sqlx::raw_sql("BEGIN; INSERT INTO projects VALUES (1, 'one')").execute(&mut application).await?;
        // Each visit would clean what is due.
        for _ in 0..3 {
            engine.run_once().await?;
        }
        assert_eq!(suspects(&pair.main).await?, ["({1},suspect,t)", "({3},suspect,t)"], "{end}");
        assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS, "{end}");
        sqlx::raw_sql(end).execute(&mut application).await?;
        drain(&engine).await?;
        let left = if end == "COMMIT" {
            &["(11,1,0)", "(12,1,4)", "(21,2,0)", "(90,,0)"][..]
        } else {
            &["(21,2,0)", "(90,,0)"]
        };
        assert_eq!(table(&pair.ci, "builds").await?, left, "{end}");
        assert_eq!(suspects(&pair.main).await?, [""; 0], "{end}");
    }
    Ok(())
}

#[tokio::test]
async fn c04_a_child_that_was_committed_before_its_parent_is_given_time() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [builds()?.settle_after(HOUR)]).await?;
    pair.main.execute("TRUNCATE projects").await?;
    for _ in 0..3 {
        engine.run_once().await?;
    }
    assert_eq!(suspects(&pair.main).await?, ["({1},suspect,f)", "({2},suspect,f)", "({3},suspect,f)"]);
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS);
    // Nobody was waiting with it: this transaction begins now.
    pair.main.execute("INSERT INTO projects VALUES (2, 'two')").await?;
    pair.main.execute("UPDATE lfk.retry SET not_before = clock_timestamp()").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(21,2,0)", "(90,,0)"]);
    assert_eq!(status(&engine).await?.resurrected_total, 1);
    Ok(())
}

#[tokio::test]
async fn l04_a_child_that_was_inserted_behind_the_sweep_is_found_by_the_second_visit() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [builds()?.settle_after(HOUR)]).await?;
    pair.main.execute("TRUNCATE projects; INSERT INTO projects VALUES (2, 'two')").await?;
    engine.run_once().await?;
    pair.main.execute("UPDATE lfk.retry SET not_before = clock_timestamp()").await?;
    drain(&engine).await?;
    pair.ci.execute("INSERT INTO builds VALUES (41, 4, 0), (13, 1, 7)").await?;
    let_pass(&pair.main, "2 hours").await?;
    trail(&engine, &pair.main).await?;
    let second = table(&pair.main, "(SELECT key, consumer, reason FROM lfk.retry) r").await?;
    assert_eq!(second, ["({1},builds.project_id~trailing,suspect)", "({4},builds.project_id~trailing,suspect)"]);
    pair.main.execute("UPDATE lfk.retry SET not_before = clock_timestamp()").await?;
    let handle = engine.start();
    eventually("they are done", PATIENCE, async || Ok(retries(&pair.main).await?.is_empty())).await?;
    handle.shutdown().await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(21,2,0)", "(90,,0)"]);
    Ok(())
}

#[tokio::test]
async fn c04_what_happened_while_a_definition_observed_is_swept_when_it_is_activated() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = installed(pair.engine([at_once()?])?).await?;
    pair.main.execute("TRUNCATE projects; INSERT INTO projects VALUES (2, 'two')").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS);
    engine.set_state(&[NAME.to_owned()], State::Active, false).await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(21,2,0)", "(90,,0)"]);
    Ok(())
}
