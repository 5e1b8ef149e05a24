//! Retiring a leaf against whoever writes to it, rewinds a cursor, or has seen only a part of it.

use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, Result};
use lfk_core::sabotage::{LogSql, Point, Verdict};
use lfk_core::{ErrorKind, State};
use lfk_sql::statements;
use lfk_tests::eventually;
use lfk_tests::scenario::{self, PATIENCE, drain};
use sqlx::{AssertSqlSafe, PgConnection, SqlSafeStr as _};

use crate::clean_support::{ALL_BUILDS, BUILDS, PROJECTS, builder, table};
use crate::fault_hook::Task;
use crate::log_support::{When, let_pass, rows_in_leaf, settle, tick, trail};
use crate::ring_support::Scene;

const RING: &str = "SELECT pg_try_advisory_xact_lock(7813284111)";

#[tokio::test]
async fn l05_a_leaf_is_kept_while_a_transaction_that_wrote_to_it_is_open_or_prepared() -> Result<()> {
    for prepared in [false, true] {
        let scene = Scene::ready().await?;
        let mut application = scene.main().connect().await?;
        let end = if prepared { "COMMIT PREPARED 'l05'" } else { "COMMIT" };
        let hold = if prepared { "PREPARE TRANSACTION 'l05'" } else { "SELECT" };
        run(&mut application, &format!("BEGIN; DELETE FROM projects WHERE id = 2; {hold}")).await?;
        // Whatever is committed in it is needed by nobody.
        assert_eq!(scene.retire().await?, 1, "{prepared}");
        run(&mut application, end).await?;
        assert_eq!(scene.retire().await?, 2, "{prepared}");
        settle(&scene.both, scene.main()).await?;
        assert_eq!(scene.retire().await?, 0, "{prepared}");
        assert_eq!(table(&scene.pair.ci, "builds").await?, ALL_BUILDS[3..], "{prepared}");
        assert_eq!(table(&scene.pair.ci, "notes").await?, ["(3,3)"], "{prepared}");
    }
    Ok(())
}

#[tokio::test]
async fn l05_nothing_is_retired_while_somebody_rewinds_a_cursor() -> Result<()> {
    let scene = Scene::ready().await?;
    let main = scene.main();
    scene.both.set_state(&["notes.project_id".to_owned()], State::Observe, false).await?;
    scene.pair.ci.execute("INSERT INTO notes VALUES (4, 1)").await?;
    // What activating does, stopped before its commit.
    let mut activating = main.connect().await?;
    run(&mut activating, &format!("BEGIN; {RING}")).await?;
    sqlx::query(statements::REWIND_CURSOR).bind("notes.project_id").execute(&mut activating).await?;
    run(&mut activating, "UPDATE lfk.definition SET state = 'active' WHERE name = 'notes.project_id'").await?;
    assert_eq!(scene.retire().await?, 1);
    run(&mut activating, "COMMIT").await?;
    assert_eq!(scene.retire().await?, 1);
    drain(&scene.both).await?;
    assert_eq!(table(&scene.pair.ci, "notes").await?, ["(2,2)", "(3,3)"]);
    Ok(())
}

#[tokio::test]
async fn l05_nobody_rewinds_a_cursor_while_a_leaf_is_retired() -> Result<()> {
    let scene = Scene::ready().await?;
    let names = ["notes.project_id".to_owned()];
    scene.both.set_state(&names, State::Observe, false).await?;
    let (builds, notes) = (crate::log_support::builds()?, crate::log_support::notes()?);
    let impatient = builder(&scene.pair)?.patience(Duration::from_millis(300)).definitions([builds, notes]).build()?;
    let hook = When::passing(move |point, _| {
        let (impatient, names) = (impatient.clone(), names.clone());
        async move {
            if point == Point::LeafLocked {
                for from_now in [true, false] {
                    let refused = impatient.set_state(&names, State::Active, from_now).await.err();
                    let refused = refused.context("it went back")?;
                    assert_eq!(refused.kind, ErrorKind::TimedOut, "{refused}");
                    assert!(refused.message.contains("its cursor or the key log stayed locked for 0.3 s"), "{refused}");
                }
            }
            Ok(Verdict::GoOn)
        }
    });
    drain(&scene.builder()?.hook(hook).build()?).await?;
    assert_eq!(rows_in_leaf(scene.main(), scene.leaf).await?, 0);
    let change = &scene.both.set_state(&["notes.project_id".to_owned()], State::Active, false).await?[0];
    assert!(change.rewound);
    Ok(())
}

#[tokio::test]
async fn l05_activating_waits_for_a_leaf_that_is_locked_for_a_moment() -> Result<()> {
    let pair = lfk_tests::Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = scenario::installed(pair.engine([crate::log_support::builds()?])?).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    // Somebody makes a leaf again, for longer than a statement waits for a lock.
    let mut holder = pair.main.connect().await?;
    run(&mut holder, "BEGIN; LOCK TABLE lfk.key_log_3 IN ACCESS EXCLUSIVE MODE").await?;
    let operator = engine.clone();
    let activating = Task::spawn(async move { scenario::activate(&operator).await });
    // A second transaction that waits for it, after one that gave up.
    let waits = "SELECT coalesce(max(xact_start)::text, '') FROM pg_stat_activity
        WHERE datname = current_database() AND wait_event_type = 'Lock' AND application_name LIKE 'lfk/%'";
    let first = Mutex::new(String::new());
    eventually("it has tried twice", PATIENCE, async || {
        let begun: String = pair.main.scalar(waits).await?;
        let mut first = first.lock().expect("nobody panics with it");
        if first.is_empty() {
            first.clone_from(&begun);
        }
        Ok(!begun.is_empty() && *first != begun)
    })
    .await?;
    run(&mut holder, "ROLLBACK").await?;
    activating.end().await??;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    Ok(())
}

/// A project was deleted by a transaction that everybody saw running, and that nobody has read since it was committed.
/// Then a worker that knows only builds, whose own cursors have passed it, retires what it may.
async fn retire_what_a_late_transaction_wrote(sql: LogSql) -> Result<Vec<String>> {
    let scene = Scene::new().await?;
    let main = scene.main();
    let mut application = main.connect().await?;
    run(&mut application, "BEGIN; DELETE FROM projects WHERE id = 1").await?;
    main.execute("DELETE FROM projects WHERE id = 2").await?;
    settle(&scene.both, main).await?;
    run(&mut application, "COMMIT").await?;
    // The retention is over too, and the other definition has passed it twice.
    let_pass(main, "20 minutes").await?;
    drain(&scene.ours).await?;
    trail(&scene.ours, main).await?;
    drain(&scene.builder()?.log_sql(sql).build()?).await?;
    drain(&scene.both).await?;
    table(&scene.pair.ci, "notes").await
}

#[tokio::test]
async fn l05_what_a_late_transaction_wrote_is_not_retired_under_the_reader() -> Result<()> {
    assert_eq!(retire_what_a_late_transaction_wrote(LogSql::default()).await?, ["(3,3)"]);
    // The same with a check that looks only at what came after the newest transaction that a cursor has seen.
    let broken = LogSql {
        leaf_needed: |leaf| {
            let real = statements::leaf_needed(leaf);
            let broken = real.as_str().replace("pg_snapshot_xip(c.prev)", "pg_snapshot_xip('1:1:'::pg_snapshot)");
            assert_ne!(broken, real.as_str());
            as_sql(broken)
        },
        ..LogSql::default()
    };
    assert_eq!(retire_what_a_late_transaction_wrote(broken).await?, ["(1,1)", "(3,3)"], "the sabotage was not noticed");
    Ok(())
}

/// Between the check without the lock and the lock, a transaction commits that wrote to the leaf.
async fn retire_while_a_writer_commits(sql: LogSql) -> Result<Vec<String>> {
    let scene = Scene::ready().await?;
    let main = scene.main();
    let mut application = main.connect().await?;
    run(&mut application, "BEGIN; DELETE FROM projects WHERE id = 2").await?;
    tick(main).await?;
    let application = std::sync::Arc::new(tokio::sync::Mutex::new(application));
    let committing = application.clone();
    let hook = When::passing(move |point, _| {
        let committing = committing.clone();
        async move {
            if point == Point::LeafChecked {
                run(&mut *committing.lock().await, "COMMIT").await?;
            }
            Ok(Verdict::GoOn)
        }
    });
    drain(&scene.builder()?.hook(hook).log_sql(sql).build()?).await?;
    assert!(table(main, "projects").await? == ["(3,three)"], "the point was passed");
    drain(&scene.both).await?;
    table(&scene.pair.ci, "builds").await
}

#[tokio::test]
async fn l05_what_is_committed_while_a_leaf_is_being_retired_is_not_lost() -> Result<()> {
    assert_eq!(retire_while_a_writer_commits(LogSql::default()).await?, ALL_BUILDS[3..]);
    let broken = LogSql { leaf_checked_twice: false, ..LogSql::default() };
    assert_eq!(retire_while_a_writer_commits(broken).await?, ALL_BUILDS[2..], "the sabotage was not noticed");
    Ok(())
}

async fn run(session: &mut PgConnection, sql: &str) -> Result<()> {
    sqlx::raw_sql(as_sql(sql.to_owned())).execute(session).await?;
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the SQL of tests is written in tests")]
fn as_sql(sql: String) -> sqlx::SqlStr {
    AssertSqlSafe(sql).into_sql_str()
}
