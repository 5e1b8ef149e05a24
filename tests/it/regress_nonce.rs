//! The exchange of nonces when a worker falls asleep in it and another one takes over: whatever the order of their steps, the
//! two databases stay a pair, and nobody is refused.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use lfk_core::sabotage::{Hook, Point};
use lfk_core::{Drained, ErrorKind, LooseForeignKey, OnDelete};
use lfk_tests::scenario::{active, drain, loose};
use lfk_tests::{Pair, TestDb, eventually};
use sqlx::PgConnection;

use crate::clean_support::{ALL_BUILDS, BUILDS, PROJECTS, table};
use crate::fault_hook::{At, SOON, Steps, Task, hooked};

type Run = Task<lfk_core::Result<Drained>>;

fn builds() -> Result<LooseForeignKey> {
    loose("projects(id)", "builds(project_id)", OnDelete::Delete)
}

fn spawn(pair: &Pair, hook: Arc<dyn Hook>) -> Result<Run> {
    let engine = hooked(pair, [builds()?], hook)?;
    Ok(Task::spawn(async move { engine.run_once().await }))
}

/// The lease of whoever sleeps runs out, and the other worker has it.
async fn taken_over(home: &TestDb) -> Result<()> {
    let token: i64 = home.scalar("SELECT token FROM lfk.cursor WHERE settle IS NULL").await?;
    eventually("the lease is taken over", SOON, async || {
        // Again, should the sleeper have renewed it just now.
        let over = "lease_until = '-infinity', stamp = pg_current_xact_id()";
        home.execute(&format!("UPDATE lfk.cursor SET {over} WHERE settle IS NULL AND token = {token}")).await?;
        Ok(home.scalar::<i64>("SELECT token FROM lfk.cursor WHERE settle IS NULL").await? > token)
    })
    .await
}

/// The pair has worked before. Then project 1 is deleted, and a worker falls asleep in its exchange, at the first of `points`.
async fn asleep(points: &[Point]) -> Result<(Pair, Arc<Steps>, Run)> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [builds()?]).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 3").await?;
    drain(&engine).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    let steps = Steps::through(points);
    let run = spawn(&pair, steps.clone())?;
    steps.stands_at(*points.first().context("no point")?).await?;
    Ok((pair, steps, run))
}

/// A run ends well. One that was overtaken may also say so, and nothing else.
async fn ended(run: Run) -> Result<()> {
    match run.end().await? {
        Err(error) if error.kind == ErrorKind::LeaseLost => {}
        result => assert_eq!(result?, Drained::Drained),
    }
    Ok(())
}

/// They have ended, both sides hold the same nonce, none is on its way, and the pair goes on.
async fn works(pair: &Pair, runs: impl IntoIterator<Item = Run>) -> Result<()> {
    for run in runs {
        ended(run).await?;
    }
    let ours = pair.main.rows("SELECT nonce, next_nonce FROM lfk.definition").await?;
    let theirs = pair.ci.rows("SELECT nonce, NULL FROM lfk.peer").await?;
    assert_eq!(ours, theirs);
    pair.main.execute("DELETE FROM projects WHERE id = 2").await?;
    drain(&pair.engine([builds()?])?).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(90,,0)"]);
    assert_eq!(table(&pair.ci, "bystanders").await?, ALL_BUILDS);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn l18_an_exchange_that_is_gone_on_with_after_another_one_parts_nobody() -> Result<()> {
    // Asleep before the child's side has the nonce, or before the parent's side knows that.
    for asleep_at in [Point::NonceOffered, Point::Paired] {
        let (pair, sleeper, first) = asleep(&[asleep_at]).await?;
        let other = Steps::through(&[Point::Released]);
        let second = spawn(&pair, other.clone())?;
        taken_over(&pair.main).await?;
        other.stands_at(Point::Released).await?;
        sleeper.go_on();
        other.go_on();
        works(&pair, [first, second]).await?;
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn l18_an_exchange_that_is_gone_on_with_within_another_one_parts_nobody() -> Result<()> {
    for asleep_at in [Point::NonceOffered, Point::Paired] {
        for overtaken_at in [Point::Claimed, Point::NonceOffered, Point::Paired] {
            let (pair, sleeper, first) = asleep(&[asleep_at]).await?;
            let other = Steps::through(&[overtaken_at]);
            let second = spawn(&pair, other.clone())?;
            taken_over(&pair.main).await?;
            other.stands_at(overtaken_at).await?;
            // The sleeper does all the rest: only what it writes to the log's side after it is fenced.
            sleeper.go_on();
            ended(first).await?;
            other.go_on();
            works(&pair, [second]).await?;
        }
    }
    Ok(())
}

/// Whoever renews a lease, as the offer of a nonce does at its start, waits while this is held.
async fn gate(home: &TestDb) -> Result<()> {
    home.execute(include_str!("../sabotage/gate.sql")).await?;
    home.execute("CREATE TRIGGER gate BEFORE UPDATE ON lfk.cursor FOR EACH ROW EXECUTE FUNCTION public.gate_trigger()")
        .await?;
    Ok(())
}

/// The sleeper has offered a nonce. The other worker has read the child's side and is about to make its own offer, when the
/// sleeper carries its nonce over, and says so if it `confirms`.
async fn between_reading_and_offering(confirms: bool) -> Result<()> {
    let (pair, sleeper, first) = asleep(&[Point::NonceOffered, Point::Paired]).await?;
    gate(&pair.main).await?;
    let holder = Arc::new(tokio::sync::Mutex::new(pair.main.connect().await?));
    let closing = holder.clone();
    let close = At::the(Point::Claimed, 1, move || {
        let holder = closing.clone();
        async move { lock(&mut *holder.lock().await, "SELECT pg_advisory_lock(42)").await }
    });
    let second = spawn(&pair, close)?;
    taken_over(&pair.main).await?;
    let stands = "SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                   WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.objid = 42 AND NOT l.granted)";
    eventually("the other one is about to offer", SOON, async || pair.main.scalar(stands).await).await?;

    sleeper.go_on();
    sleeper.stands_at(Point::Paired).await?;
    let mut runs = vec![second];
    if confirms {
        sleeper.go_on();
        ended(first).await?;
        lock(&mut *holder.lock().await, "SELECT pg_advisory_unlock(42)").await?;
    } else {
        lock(&mut *holder.lock().await, "SELECT pg_advisory_unlock(42)").await?;
        ended(runs.remove(0)).await?;
        sleeper.go_on();
        runs.push(first);
    }
    works(&pair, runs).await
}

async fn lock(holder: &mut PgConnection, sql: &'static str) -> Result<()> {
    sqlx::query(sql).execute(holder).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn l18_a_nonce_that_is_carried_over_while_another_is_about_to_be_offered_parts_nobody() -> Result<()> {
    between_reading_and_offering(false).await
}

#[tokio::test(flavor = "multi_thread")]
async fn l18_a_whole_exchange_while_another_is_about_to_begin_is_not_taken_for_a_copy() -> Result<()> {
    between_reading_and_offering(true).await
}
