//! The second visit of each key, for children that were inserted after its first one.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context as _, Result};
use lfk_core::sabotage::{Point, Verdict};
use lfk_core::{Drained, Engine, ErrorKind, LooseForeignKey, State};
use lfk_tests::scenario::{PATIENCE, active, drain, expire_leases};
use lfk_tests::{Pair, TestDb, eventually};
use tokio::sync::watch;

use crate::clean_support::{ALL_BUILDS, BUILDS, PROJECTS, activated, builder, retries, table};
use crate::log_support::{When, age, builds, let_pass, tick, trail};

const HOUR: Duration = Duration::from_secs(3600);
const NAME: &str = "builds.project_id";

/// Visited a second time an hour after the delete.
fn hourly() -> Result<LooseForeignKey> {
    Ok(builds()?.settle_after(HOUR))
}

/// Project 1 is deleted and its builds are cleaned. Then somebody who had still seen it adds a build.
async fn late_child_of_1(pair: &Pair, engine: &Engine) -> Result<()> {
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    drain(engine).await?;
    pair.ci.execute("INSERT INTO builds VALUES (13, 1, 7)").await?;
    Ok(())
}

/// What `builds` holds after [`late_child_of_1`].
const WITH_LATE_CHILD: [&str; 4] = ["(13,1,7)", "(21,2,0)", "(31,3,)", "(90,,0)"];

/// Token, position and totals of the trailing cursor.
async fn trailing_cursor(home: &TestDb) -> Result<Vec<String>> {
    table(
        home,
        "(SELECT token, prev::text, cur::text, keys_total, observed_keys FROM lfk.cursor WHERE settle IS NOT NULL) c",
    )
    .await
}

#[tokio::test]
async fn l04_a_late_child_is_removed_once_settle_after_has_passed_and_not_before() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let seconds = "SELECT extract(epoch FROM clock_timestamp())::float8";
    let visited: Arc<Mutex<Option<f64>>> = Arc::default();
    let (clock, first) = (pair.main.clone(), visited.clone());
    let hook = When::passing(move |point, who| {
        let (clock, first) = (clock.clone(), first.clone());
        async move {
            if point == Point::Rechecked && who.ends_with("~trailing") {
                let now: f64 = clock.scalar(seconds).await?;
                first.lock().expect("nobody panics with it").get_or_insert(now);
            }
            Ok(Verdict::GoOn)
        }
    });
    let second = builds()?.settle_after(Duration::from_secs(1));
    let engine = activated(builder(&pair)?.hook(hook), [second]).await?;
    let handle = engine.start();
    // A worker's own tick comes first and stays the only one for 30 s: one behind the delete could let the second visit come
    // before the late child.
    let ticked = "SELECT count(*) > 0 FROM lfk.tick";
    eventually("the worker's tick", PATIENCE, async || pair.main.scalar(ticked).await).await?;
    let before_commit: f64 = pair.main.scalar(seconds).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    // To the end: a child that comes before is still its own.
    let first = "SELECT keys_total = 1 FROM lfk.cursor WHERE settle IS NULL";
    eventually("the first visit", PATIENCE, async || pair.main.scalar(first).await).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    pair.ci.execute("INSERT INTO builds VALUES (13, 1, 7)").await?;
    let cleaned_again = async || {
        tick(&pair.main).await?;
        Ok(table(&pair.ci, "builds").await? == ALL_BUILDS[2..])
    };
    eventually("the second visit", PATIENCE, cleaned_again).await?;
    handle.shutdown().await?;

    let visited = visited.lock().expect("nobody panics with it").context("nobody saw the second visit")?;
    assert!(visited - before_commit >= 1.0, "visited {} s after the delete", visited - before_commit);
    assert_eq!(table(&pair.ci, "bystanders").await?, ALL_BUILDS);
    assert_eq!(table(&pair.main, "projects").await?, ["(2,two)", "(3,three)"]);
    Ok(())
}

#[tokio::test]
async fn l04_a_parent_that_is_back_by_the_second_visit_keeps_its_late_children() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [hourly()?]).await?;
    late_child_of_1(&pair, &engine).await?;
    pair.main.execute("INSERT INTO projects VALUES (1, 'one again')").await?;
    let_pass(&pair.main, "2 hours").await?;
    trail(&engine, &pair.main).await?;
    assert_eq!(table(&pair.ci, "builds").await?, WITH_LATE_CHILD);
    let resurrected = "SELECT resurrected_total FROM lfk.cursor WHERE settle IS NOT NULL";
    assert_eq!(pair.main.scalar::<i64>(resurrected).await?, 1, "it was looked at");
    Ok(())
}

#[tokio::test]
async fn l04_keys_of_a_long_transaction_are_visited_settle_after_its_commit() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [hourly()?]).await?;
    let mut application = pair.main.connect().await?;
    sqlx::raw_sql("BEGIN; DELETE FROM projects WHERE id = 1").execute(&mut application).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 2").await?;
    drain(&engine).await?;
    pair.ci.execute("INSERT INTO builds VALUES (22, 2, 7)").await?;
    let_pass(&pair.main, "2 hours").await?;
    sqlx::raw_sql("COMMIT").execute(&mut application).await?;
    drain(&engine).await?;
    pair.ci.execute("INSERT INTO builds VALUES (13, 1, 7)").await?;

    trail(&engine, &pair.main).await?;
    // That of project 2 was committed two hours ago, that of project 1 just now, although it was deleted earlier.
    assert_eq!(table(&pair.ci, "builds").await?, ["(13,1,7)", "(31,3,)", "(90,,0)"]);
    let_pass(&pair.main, "2 hours").await?;
    trail(&engine, &pair.main).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(31,3,)", "(90,,0)"]);
    Ok(())
}

#[tokio::test]
async fn l04_a_drain_does_not_wait_for_the_second_visit() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [hourly()?]).await?;
    let before = trailing_cursor(&pair.main).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    assert_eq!(engine.run_until_drained(Some(PATIENCE)).await?, Drained::Drained);
    assert_eq!(trailing_cursor(&pair.main).await?, before, "nobody has been there");
    let_pass(&pair.main, "2 hours").await?;
    trail(&engine, &pair.main).await?;
    assert_ne!(trailing_cursor(&pair.main).await?, before);
    Ok(())
}

#[tokio::test]
async fn l04_while_a_definition_observes_or_is_paused_nothing_is_visited_twice() -> Result<()> {
    for state in [State::Observe, State::Paused] {
        let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
        let engine = active(&pair, [hourly()?]).await?;
        late_child_of_1(&pair, &engine).await?;
        engine.set_state(&[NAME.to_owned()], state, false).await?;
        let_pass(&pair.main, "2 hours").await?;
        let before = trailing_cursor(&pair.main).await?;
        // A worker's first round would take up both cursors.
        drain(&engine).await?;
        assert_eq!(trailing_cursor(&pair.main).await?, before, "{state}");
        assert_eq!(table(&pair.ci, "builds").await?, WITH_LATE_CHILD, "{state}");
    }
    Ok(())
}

#[tokio::test]
async fn l04_a_pause_puts_the_second_visit_off_and_skips_nothing() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [hourly()?]).await?;
    late_child_of_1(&pair, &engine).await?;
    engine.set_state(&[NAME.to_owned()], State::Paused, false).await?;
    let_pass(&pair.main, "2 hours").await?;
    drain(&engine).await?;
    engine.set_state(&[NAME.to_owned()], State::Active, false).await?;
    trail(&engine, &pair.main).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    Ok(())
}

#[tokio::test]
async fn l04_activating_sends_both_visits_back_to_the_start_of_the_log() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [hourly()?]).await?;
    late_child_of_1(&pair, &engine).await?;
    let_pass(&pair.main, "2 hours").await?;
    trail(&engine, &pair.main).await?;
    engine.set_state(&[NAME.to_owned()], State::Observe, false).await?;
    pair.ci.execute("INSERT INTO builds VALUES (14, 1, 7)").await?;

    let visits = "SELECT keys_total FROM lfk.cursor ORDER BY settle IS NULL";
    let one = Some("1".to_owned());
    assert_eq!(pair.main.rows(visits).await?, [[one.clone()], [one]]);
    let change = &engine.set_state(&[NAME.to_owned()], State::Active, false).await?[0];
    assert!(change.rewound);
    trail(&engine, &pair.main).await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    let two = Some("2".to_owned());
    assert_eq!(pair.main.rows(visits).await?, [[two.clone()], [two]], "both were made once more");
    Ok(())
}

#[tokio::test]
async fn l04_a_worker_that_dies_in_its_second_visit_loses_nothing() -> Result<()> {
    for point in [Point::Claimed, Point::Opened, Point::CleanedUncommitted, Point::BatchDone, Point::Closed] {
        let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
        let engine = active(&pair, [hourly()?]).await?;
        late_child_of_1(&pair, &engine).await?;
        let_pass(&pair.main, "2 hours").await?;

        let mortal = builder(&pair)?.hook(When::dies(point, "~trailing", 1)).definitions([hourly()?]).build()?;
        let error = mortal.start().died().await;
        assert_eq!(error.kind, ErrorKind::Crashed, "{point:?}: {error}");
        expire_leases(&pair.main).await?;
        trail(&engine, &pair.main).await?;
        assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..], "{point:?}");
    }
    Ok(())
}

/// Who exchanges nonces waits with its second half until the other visit has begun, or has done its first half.
fn both_at_once() -> Arc<When> {
    let passed = watch::Sender::new(Vec::<(Point, bool)>::new());
    When::passing(move |point, who| {
        let passed = passed.clone();
        async move {
            passed.send_modify(|all| all.push((point, who.ends_with("~trailing"))));
            if point != Point::NonceOffered {
                return Ok(Verdict::GoOn);
            }
            let offers = |all: &Vec<(Point, bool)>| all.iter().filter(|(at, _)| *at == Point::NonceOffered).count();
            let first = offers(&passed.borrow()) == 1;
            let mut all = passed.subscribe();
            let other = all.wait_for(|all| match first {
                true => offers(all) == 2 || all.contains(&(Point::Opened, true)),
                false => all.iter().any(|(at, _)| *at == Point::Paired),
            });
            tokio::time::timeout(PATIENCE, other).await??;
            Ok(Verdict::GoOn)
        }
    })
}

#[tokio::test]
async fn l04_both_visits_at_once_do_not_part_the_two_databases() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [hourly()?]).await?;
    late_child_of_1(&pair, &engine).await?;
    let_pass(&pair.main, "2 hours").await?;
    pair.main.execute("DELETE FROM projects WHERE id = 2").await?;
    let entangled = builder(&pair)?.hook(both_at_once()).definitions([hourly()?]).build()?;
    drain(&entangled).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 3").await?;
    drain(&engine).await?;
    trail(&engine, &pair.main).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(90,,0)"]);
    Ok(())
}

#[tokio::test]
async fn l04_a_late_child_that_is_locked_is_removed_when_it_is_free() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [hourly()?]).await?;
    late_child_of_1(&pair, &engine).await?;
    let mut application = pair.ci.connect().await?;
    sqlx::raw_sql("BEGIN; SELECT FROM builds WHERE id = 13 FOR UPDATE").execute(&mut application).await?;
    let_pass(&pair.main, "2 hours").await?;
    trail(&engine, &pair.main).await?;
    assert_eq!(retries(&pair.main).await?, ["({1},locked,55P03,f)"]);
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, WITH_LATE_CHILD, "not waited for by a drain either");

    sqlx::raw_sql("COMMIT").execute(&mut application).await?;
    pair.main.execute("UPDATE lfk.retry SET not_before = '-infinity'").await?;
    let handle = engine.start();
    eventually("it is done", PATIENCE, async || Ok(retries(&pair.main).await?.is_empty())).await?;
    handle.shutdown().await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    Ok(())
}

#[tokio::test]
async fn l04_a_second_visit_later_than_the_retention_finds_its_tick() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    // Three hours later, where the log is kept for ten minutes.
    let late = builds()?.settle_after(3 * HOUR);
    let engine = activated(builder(&pair)?.retention(crate::log_support::RETENTION), [late]).await?;
    late_child_of_1(&pair, &engine).await?;
    let_pass(&pair.main, "2 hours").await?;
    drain(&engine).await?;
    age(&pair.main, "90 minutes").await?;
    drain(&engine).await?;
    assert_eq!(pair.main.scalar::<i64>("SELECT count(*) FROM lfk.key_log").await?, 1);
    trail(&engine, &pair.main).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    Ok(())
}
