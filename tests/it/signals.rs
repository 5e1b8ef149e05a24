//! Who may tell a writer to wait: the application that waits for its locks, and a standby that is behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};
use lfk_core::sabotage::{Point, Verdict};
use lfk_core::{Database, Engine};
use lfk_sql::statements;
use lfk_tests::scenario::{PATIENCE, active, drain, roles_of};
use lfk_tests::{Cluster, Pair, Role, TestDb, eventually};
use sqlx::Row as _;
use tokio::sync::watch;

use crate::capture_support::url_as;
use crate::clean_support::{
    ALL_BUILDS, BUILDS, PROJECTS, Place, THOUSAND_BUILDS, THOUSAND_PROJECTS, activated, builder, retries, status, table,
};
use crate::fault_hook::Task;
use crate::log_support::{When, builds};

/// While there is a row in `slow`, a delete of a build takes three seconds: longer than anybody of the application waits,
/// and shorter than the timeout of our statement.
const SLOW: &str = "CREATE TABLE slow (since timestamptz DEFAULT now()); INSERT INTO slow DEFAULT VALUES;
    GRANT SELECT ON slow TO PUBLIC;
    CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
      IF EXISTS (SELECT FROM slow) THEN PERFORM pg_sleep(3); END IF; RETURN OLD; END $$;
    CREATE TRIGGER dawdle BEFORE DELETE ON builds FOR EACH ROW WHEN (OLD.id = 12) EXECUTE FUNCTION dawdle();";

async fn wait_until_we_are_in_the_slow_statement(ci: &TestDb) -> Result<()> {
    let asleep = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'";
    eventually("our statement is at work", PATIENCE, async || Ok(ci.scalar::<i64>(asleep).await? == 1)).await
}

#[tokio::test]
async fn l11_who_waits_for_rows_that_our_statement_has_locked_goes_first() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, &format!("{BUILDS} {SLOW}")).await?;
    let engine = active(&pair, [builds()?]).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    let handle = engine.start();
    wait_until_we_are_in_the_slow_statement(&pair.ci).await?;
    // If it waited to the end of our statement, the row would be gone.
    assert_eq!(pair.ci.execute("UPDATE builds SET status = 9 WHERE id = 11").await?, 1);
    pair.ci.execute("DELETE FROM slow").await?;
    let done = async || Ok(table(&pair.ci, "builds").await? == ALL_BUILDS[2..]);
    eventually("the key is done after all", PATIENCE, done).await?;
    handle.shutdown().await?;
    assert_eq!(retries(&pair.main).await?, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn l11_sessions_of_our_own_are_no_reason_to_give_way() -> Result<()> {
    let pair =
        Pair::with_schema(PROJECTS, &format!("{BUILDS} {}", SLOW.replace("pg_sleep(3)", "pg_sleep(0.5)"))).await?;
    let engine = active(&pair, [builds()?]).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    let handle = engine.start();
    wait_until_we_are_in_the_slow_statement(&pair.ci).await?;
    let ours = "SET application_name = 'lfk/test'; UPDATE builds SET status = 9 WHERE id = 11; RESET application_name";
    let mut session = pair.ci.connect().await?;
    sqlx::raw_sql(ours).execute(&mut session).await?;
    // Our statement was not interrupted, so nothing was left to update.
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    handle.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn l11_only_the_transaction_that_was_watched_is_cancelled() -> Result<()> {
    let db = TestDb::with_schema(Role::Ci, BUILDS).await?;
    let mut ours = db.connect().await?;
    let hold = "BEGIN; SELECT FROM builds WHERE id = 11 FOR UPDATE";
    sqlx::raw_sql(hold).execute(&mut ours).await?;
    let of = |row: &sqlx::postgres::PgRow| (row.get::<i32, _>("pid"), row.get::<i64, _>("xact_start"));
    let (pid, first) = of(&sqlx::query(statements::BACKEND_PID).fetch_one(&mut ours).await?);
    let waiting = db.clone();
    let application = Task::spawn(async move { waiting.execute("UPDATE builds SET status = 9 WHERE id = 11").await });
    let waits = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'";
    eventually("somebody waits", PATIENCE, async || Ok(db.scalar::<i64>(waits).await? == 1)).await?;
    let cancelled = async |xact_start: i64| -> Result<bool> {
        let query = sqlx::query_scalar(statements::CANCEL_IF_BLOCKING).bind(pid).bind(xact_start).bind("lfk/");
        Ok(query.fetch_one(&db.pool).await?)
    };
    assert!(cancelled(first).await?, "somebody waits for it");
    assert!(!cancelled(first - 1).await?, "that transaction has ended");
    sqlx::raw_sql("COMMIT").execute(&mut ours).await?;
    assert_eq!(application.end().await??, 1);
    // The same backend, at something else.
    sqlx::raw_sql(hold).execute(&mut ours).await?;
    let (same, second) = of(&sqlx::query(statements::BACKEND_PID).fetch_one(&mut ours).await?);
    assert!(same == pid && second > first);
    let waiting = db.clone();
    let application = Task::spawn(async move { waiting.execute("UPDATE builds SET status = 8 WHERE id = 11").await });
    eventually("somebody waits", PATIENCE, async || Ok(db.scalar::<i64>(waits).await? == 1)).await?;
    assert!(!cancelled(first).await?);
    assert!(cancelled(second).await?, "the new one would be cancelled");
    sqlx::raw_sql("ROLLBACK").execute(&mut ours).await?;
    assert_eq!(application.end().await??, 1);
    Ok(())
}

#[tokio::test]
async fn l11_in_one_database_who_waits_for_children_that_are_being_locked_goes_first() -> Result<()> {
    // In the second batch a statement locks all children of its keys, and these are many: it takes most of a second.
    let many = "INSERT INTO builds SELECT n, 617 FROM generate_series(1001, 400000) n;";
    let pair = Place::SameDatabase.pair(THOUSAND_PROJECTS, &format!("{THOUSAND_BUILDS} {many}")).await?;
    let first_is_done = watch::Sender::new(false);
    let served = watch::Sender::new(false);
    let (first, application) = (first_is_done.clone(), served.clone());
    let locked = Arc::new(AtomicUsize::new(0));
    let hook = When::passing(move |point, _| {
        let (first, application, locked) = (first.clone(), application.clone(), locked.clone());
        async move {
            if point == Point::BatchDone {
                first.send_replace(true);
            }
            if point == Point::ChildrenLocked && locked.fetch_add(1, Ordering::SeqCst) == 1 {
                // The statement that the application waited for never came so far.
                tokio::time::timeout(PATIENCE, application.subscribe().wait_for(|served| *served)).await??;
            }
            Ok(Verdict::GoOn)
        }
    });
    let engine = activated(builder(&pair)?.hook(hook), [builds()?]).await?;
    pair.main.execute("DELETE FROM projects").await?;
    let handle = engine.start();
    first_is_done.subscribe().wait_for(|done| *done).await?;
    let locking = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND state = 'active'
        AND query LIKE '%FOR UPDATE%' AND application_name LIKE 'lfk/%'";
    eventually("children are being locked", PATIENCE, async || Ok(pair.ci.scalar::<i64>(locking).await? == 1)).await?;
    assert_eq!(pair.ci.execute("UPDATE builds SET id = -id WHERE id = 501").await?, 1);
    served.send_replace(true);
    let done = async || Ok(pair.ci.scalar::<i64>("SELECT count(*) FROM builds").await? == 0);
    eventually("all are cleaned", PATIENCE, done).await?;
    handle.shutdown().await?;
    Ok(())
}

/// A pair whose children have a standby that does not replay, and two builds to clean since.
struct Behind {
    pair: Pair,
    engine: Engine,
    _primary: Cluster,
    standby: TestDb,
    _replica: Cluster,
}

impl Behind {
    async fn new() -> Result<Self> {
        let primary = Cluster::start().await?;
        let pair = Pair { main: TestDb::with_schema(Role::Main, PROJECTS).await?, ci: TestDb::on(&primary).await? };
        pair.ci.execute(BUILDS).await?;
        let replica = primary.start_standby().await?;
        let mut standby = pair.ci.clone();
        standby.url = replica.url(&pair.ci.name);
        standby.pool = sqlx::PgPool::connect_lazy(&standby.url)?;
        let engine = active(&pair, [builds()?]).await?;
        // What `lfk grants` prints does not show it: see below.
        pair.ci.execute(&format!("GRANT pg_monitor TO {}", roles_of(&engine)?.worker)).await?;
        let streaming = "SELECT count(*) FROM pg_stat_replication WHERE state = 'streaming'";
        eventually("it streams", PATIENCE, async || Ok(pair.ci.scalar::<i64>(streaming).await? == 1)).await?;
        pair.main.execute("DELETE FROM projects WHERE id = 3").await?;
        drain(&engine).await.context("a standby that keeps up is no reason to wait")?;

        standby.execute("SELECT pg_wal_replay_pause()").await?;
        let paused = "SELECT pg_get_wal_replay_pause_state() = 'paused'";
        eventually("it is paused", PATIENCE, async || standby.scalar(paused).await).await?;
        for _ in 0..3 {
            pair.ci.execute("SELECT pg_logical_emit_message(false, 'test', repeat('x', 100000000))").await?;
        }
        pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
        Ok(Self { pair, engine, _primary: primary, standby, _replica: replica })
    }
}

#[tokio::test]
async fn l11_writers_wait_for_a_standby_that_is_far_behind_and_say_so() -> Result<()> {
    let scene = Behind::new().await?;
    let handle = scene.engine.start();
    let held = async || Ok(status(&scene.engine).await?.condition == "held");
    eventually("it is held", PATIENCE, held).await?;
    let note = status(&scene.engine).await?.note.context("no note")?;
    assert!(note.contains("\"ci\""), "{note}");
    let standby = "SELECT '\"' || application_name || '\" at ' || coalesce(host(client_addr), 'this machine')
        FROM pg_stat_replication";
    let standby: String = scene.pair.ci.scalar(standby).await?;
    assert!(note.contains(&format!("the standby {standby} has ")), "{note}");
    assert_eq!(table(&scene.pair.ci, "builds").await?, ["(11,1,0)", "(12,1,4)", "(21,2,0)", "(90,,0)"]);

    scene.standby.execute("SELECT pg_wal_replay_resume()").await?;
    let cleaned = async || Ok(table(&scene.pair.ci, "builds").await? == ["(21,2,0)", "(90,,0)"]);
    eventually("it goes on", PATIENCE, cleaned).await?;
    let well = async || Ok(status(&scene.engine).await?.condition == "ok");
    eventually("nothing is the matter any more", PATIENCE, well).await?;
    handle.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn l11_a_standby_that_the_role_may_not_look_at_holds_nobody() -> Result<()> {
    let scene = Behind::new().await?;
    let ci = &scene.pair.ci;
    ci.execute(
        "CREATE ROLE worker LOGIN; GRANT USAGE ON SCHEMA lfk, public TO worker;
         GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA lfk TO worker;
         GRANT SELECT, UPDATE, DELETE ON builds TO worker",
    )
    .await?;
    let engine = |url: &str| -> Result<Engine> {
        let main = Database::connect_lazy("main", &scene.pair.main.url)?;
        let ci = Database::connect_lazy("ci", url)?;
        Ok(Engine::builder().database(main).database(ci).definitions([builds()?]).build()?)
    };
    // The same role, once it may look, waits.
    ci.execute("GRANT pg_monitor TO worker").await?;
    let may_look = engine(&url_as(ci, "worker"))?;
    let handle = may_look.start();
    eventually("it is held", PATIENCE, async || Ok(status(&may_look).await?.condition == "held")).await?;
    handle.shutdown().await?;
    assert_eq!(may_look.signals().await[0].condition, "waits");
    ci.execute("REVOKE pg_monitor FROM worker").await?;
    // Unknown is shown as unknown, with what helps.
    let unknown = &engine(&url_as(ci, "worker"))?.signals().await[0];
    assert_eq!((unknown.signal, unknown.condition), ("standby_lag", "unknown"));
    let remedy = "GRANT pg_monitor TO worker; -- in database ci";
    assert!(unknown.note.as_deref().is_some_and(|note| note.contains(remedy)), "{unknown:?}");
    drain(&engine(&url_as(ci, "worker"))?).await?;
    assert_eq!(table(ci, "builds").await?, ["(21,2,0)", "(90,,0)"]);
    Ok(())
}
