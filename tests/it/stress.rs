//! The stress: everything at once, for a while, and then an exact oracle. And the same stress with one rule of the reading
//! protocol broken, where the oracle has to find the loss: a stress that cannot fail proves nothing.
//!
//! `LFK_STRESS_SECONDS` sets how long the real one runs, `LFK_SEED` repeats the choices of a run (not its interleaving).

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lfk_core::sabotage::LogSql;
use lfk_core::{Drained, Engine};
use lfk_tests::scenario::{self, activate, drain};
use sqlx::SqlSafeStr as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::clean_support::builder;
use crate::stress_chaos::{Count, cut_off, engines, hold_snapshots};
use crate::stress_interleavings::{IDLE_NOTED, MOVE_NOTED, NOTE_IDLE, PAGE_BY_ID};
use crate::stress_oracle::{Arena, Wrongs, active_definitions, observing_definition};
use crate::stress_writers::{Parent, Writer};

/// Competing processes.
const ENGINES: u64 = 3;
/// Applications that delete projects all the time, and those that keep their transactions open.
const WRITERS: u64 = 5;
const SLOW_WRITERS: u64 = 2;
/// Parents that the writers can take in a second.
const PROJECTS_A_SECOND: i64 = 4000;
const USERS_A_SECOND: i64 = 300;

struct Stress {
    seconds: u64,
    log_sql: LogSql,
    /// What the sabotage needs in the parents' database.
    prepare: &'static str,
}

struct Report {
    wrongs: Wrongs,
    keys: usize,
    late: u64,
    killed: u64,
    terminated: u64,
}

/// An engine that works as it should: all definitions are installed, and all but one are active.
async fn installed(arena: &Arena) -> Result<Engine> {
    let active = builder(&arena.pair)?.definitions(active_definitions()?).build()?;
    activate(&scenario::installed(active).await?).await?;
    let mut definitions = active_definitions()?;
    definitions.push(observing_definition()?);
    let all = builder(&arena.pair)?.definitions(definitions).build()?;
    scenario::installed(all).await
}

impl Stress {
    async fn run(self) -> Result<Report> {
        let seed: u64 = match std::env::var("LFK_SEED") {
            Ok(seed) => seed.parse().context("LFK_SEED is no number")?,
            Err(_) => rand::random::<u32>().into(),
        };
        eprintln!("LFK_SEED={seed}");
        let seconds = i64::try_from(self.seconds)?;
        let arena = Arena::new(seconds * PROJECTS_A_SECOND, seconds * USERS_A_SECOND).await?;
        let real = installed(&arena).await?;
        arena.pair.main.execute(self.prepare).await?;

        let over = CancellationToken::new();
        let count = Arc::new(Count::default());
        let mut tasks: JoinSet<Result<()>> = JoinSet::new();
        for n in 0..ENGINES {
            let (definitions, log_sql) = (real.definitions().to_vec(), self.log_sql.clone());
            tasks.spawn(engines(seed + n, arena.pair.clone(), definitions, log_sql, count.clone(), over.clone()));
        }
        for n in 0..=WRITERS + SLOW_WRITERS {
            let (db, ledger) = (arena.pair.main.clone(), arena.ledger.clone());
            let writer = Writer::new(format!("writer-{n}"), seed + 100 + n, db, ledger, over.clone()).await?;
            match n {
                0..WRITERS => tasks.spawn(writer.run(Parent::Projects, 2..30)),
                // Rarely enough that the cursor of users is idle in between.
                WRITERS => tasks.spawn(writer.run(Parent::Users, 20..150)),
                _ => tasks.spawn(writer.run_slowly()),
            };
        }
        tasks.spawn(cut_off(seed + 200, arena.pair.clone(), count.clone(), over.clone()));
        tasks.spawn(hold_snapshots(seed + 300, arena.pair.main.clone(), over.clone()));
        tasks.spawn(hold_snapshots(seed + 301, arena.pair.ci.clone(), over.clone()));
        // Whoever ends before it is over has failed.
        if let Ok(Some(ended)) = tokio::time::timeout(Duration::from_secs(self.seconds), tasks.join_next()).await {
            ended??;
        }
        over.cancel();
        while let Some(ended) = tasks.join_next().await {
            ended??;
        }
        let quiet = Instant::now();
        let end = real.run_until_drained(Some(Duration::from_secs(90))).await?;
        ensure!(end == Drained::Drained, "not drained: {end:?}; {:?}", real.status().await?);
        let report = Report {
            wrongs: arena.judge().await?,
            keys: arena.ledger.fates().len(),
            late: arena.ledger.late.load(Ordering::Relaxed),
            killed: count.killed.load(Ordering::Relaxed),
            terminated: count.terminated.load(Ordering::Relaxed),
        };
        let Report { wrongs, keys, late, killed, terminated } = &report;
        eprintln!(
            "{keys} keys, {late} late transactions, {killed} workers killed, {terminated} connections cut, drained in {:?}: {wrongs:?}",
            quiet.elapsed()
        );
        Ok(report)
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l13_under_stress_nothing_is_lost_and_nothing_is_done_wrongly() -> Result<()> {
    let seconds = std::env::var("LFK_STRESS_SECONDS").unwrap_or_else(|_| "60".to_owned());
    let seconds = seconds.parse().context("LFK_STRESS_SECONDS is no number")?;
    // A thousand times as often as in production.
    let log_sql = LogSql { idle_every: Duration::from_millis(50), ..LogSql::default() };
    let report = Stress { seconds, log_sql, prepare: "" }.run().await?;
    assert_eq!(report.wrongs, Wrongs::default());
    assert!(report.keys > 1000, "the writers did nothing");
    assert!(report.late > 0, "no transaction was late");
    assert!(report.killed > 0 && report.terminated > 0, "nobody was hurt");
    Ok(())
}

/// How long a broken protocol needs to be found out.
const SABOTAGED_SECONDS: u64 = 6;

/// Runs with a broken rule until it is found out, five times at most: on a busy machine a protocol may be lucky.
/// Answers what was lost; nothing else may go wrong.
async fn sabotaged(log_sql: &LogSql, prepare: &'static str, lost: fn(&Wrongs) -> i64) -> Result<i64> {
    for _ in 0..5 {
        let stress = Stress { seconds: SABOTAGED_SECONDS, log_sql: log_sql.clone(), prepare };
        let wrongs = stress.run().await?.wrongs;
        let Wrongs { orphans, orphans_of_victims, unobserved, .. } = wrongs;
        assert_eq!(wrongs, Wrongs { orphans, orphans_of_victims, unobserved, ..Wrongs::default() });
        if lost(&wrongs) > 0 {
            return Ok(lost(&wrongs));
        }
    }
    Ok(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l13_sabotage_the_stress_finds_an_idle_move_in_two_statements() -> Result<()> {
    let halves = [NOTE_IDLE, "SELECT pg_sleep(0.1)", MOVE_NOTED];
    let log_sql = LogSql {
        idle_move: halves.into_iter().map(|sql| sql.into_sql_str()).collect(),
        idle_every: Duration::ZERO,
        ..LogSql::default()
    };
    assert!(sabotaged(&log_sql, IDLE_NOTED, |wrongs| wrongs.orphans).await? > 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l13_sabotage_the_stress_finds_a_snapshot_that_was_taken_after_an_xid() -> Result<()> {
    let log_sql = LogSql {
        idle_move: vec![include_str!("../sabotage/move_late.sql").into_sql_str()],
        idle_every: Duration::ZERO,
        ..LogSql::default()
    };
    let prepare = include_str!("../sabotage/late_snapshot_of_a_victim.sql");
    assert!(sabotaged(&log_sql, prepare, |wrongs| wrongs.orphans_of_victims).await? > 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn l14_sabotage_the_stress_finds_reading_by_id() -> Result<()> {
    let log_sql = LogSql { page: PAGE_BY_ID.into_sql_str(), ..LogSql::default() };
    assert!(sabotaged(&log_sql, "", |wrongs| wrongs.orphans).await? > 0);
    Ok(())
}

#[tokio::test]
async fn l13_sabotage_the_oracle_sees_every_kind_of_wrong() -> Result<()> {
    let arena = Arena::new(20, 20).await?;
    let real = installed(&arena).await?;
    // Project 7 has two builds and a note; no writer has touched it.
    arena.pair.main.execute("DELETE FROM projects WHERE id = 7").await?;
    drain(&real).await?;
    let broken = "DELETE FROM tokens WHERE user_id = 4; UPDATE notes SET text = 'x' WHERE id = 5; DELETE FROM audits WHERE id = 6;
         INSERT INTO builds VALUES (1000, 8, 'new')";
    arena.pair.ci.execute(broken).await?;
    arena.pair.main.execute("UPDATE lfk.cursor SET observed_keys = 0, stamp = pg_current_xact_id()").await?;
    let wrongs = Wrongs {
        wrongly_changed: 2 + 1 + 1 + 1 + 1,
        changed_by_observing: 1,
        unobserved: 1,
        log_differs: 1,
        ..Wrongs::default()
    };
    assert_eq!(arena.judge().await?, wrongs);
    Ok(())
}
