//! What the reading protocol must survive, one interleaving a test; and each rule of it broken on purpose under the very
//! same interleaving, where the key is lost. The stress (`stress.rs`) finds these by chance, here they happen every time.

use std::time::Duration;

use anyhow::Result;
use lfk_core::sabotage::LogSql;
use lfk_core::{Engine, OnDelete};
use lfk_tests::scenario::{drain, loose};
use lfk_tests::{Pair, TestDb, eventually};
use sqlx::{PgConnection, SqlSafeStr as _};

use crate::clean_support::{BUILDS, PROJECTS, activated, builder, table};

const SOON: Duration = Duration::from_secs(20);

pub const NOTE_IDLE: &str = include_str!("../sabotage/note_idle.sql");
pub const MOVE_NOTED: &str = include_str!("../sabotage/move_noted.sql");
pub const PAGE_BY_ID: &str = include_str!("../sabotage/page_by_id.sql");
/// What the broken idle move keeps between its halves.
pub const IDLE_NOTED: &str = "CREATE TABLE public.idle_noted (consumer text PRIMARY KEY, seq bigint NOT NULL);
    GRANT ALL ON public.idle_noted TO PUBLIC";

/// The children of projects 1 and 2 gone, and no other row: nothing was lost.
const NOTHING_LOST: [&str; 2] = ["(31,3,)", "(90,,0)"];
/// Those of project 1 are still there, and nobody will ever look at it again.
const FIRST_LOST: [&str; 4] = ["(11,1,0)", "(12,1,4)", "(31,3,)", "(90,,0)"];

/// Statements that call `public.gate()` wait in it until the test opens it.
struct Gate {
    db: TestDb,
    holder: PgConnection,
}

impl Gate {
    async fn close(db: &TestDb) -> Result<Self> {
        db.execute(include_str!("../sabotage/gate.sql")).await?;
        let mut holder = db.connect().await?;
        sqlx::query("SELECT pg_advisory_lock(42)").execute(&mut holder).await?;
        Ok(Self { db: db.clone(), holder })
    }

    /// Somebody stands in front of it.
    async fn reached(&self) -> Result<()> {
        let waiting = "SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
                        WHERE d.datname = current_database() AND l.locktype = 'advisory' AND l.objid = 42 AND NOT l.granted)";
        eventually("the gate is reached", SOON, async || self.db.scalar(waiting).await).await
    }

    async fn open(mut self) -> Result<()> {
        sqlx::query("SELECT pg_advisory_unlock(42)").execute(&mut self.holder).await?;
        Ok(())
    }
}

/// Two engines on one installation: one with the statements under test, one that works as it should.
async fn engines(pair: &Pair, log_sql: LogSql) -> Result<(Engine, Engine)> {
    let definition = loose("projects(id)", "builds(project_id)", OnDelete::Delete)?;
    let real = activated(builder(pair)?, [definition.clone()]).await?;
    // Transactions of the engine delete parents here, which no engine does by itself.
    pair.main.execute("GRANT ALL ON projects TO PUBLIC").await?;
    let under_test = builder(pair)?.definitions([definition]).log_sql(log_sql).build()?;
    Ok((under_test, real))
}

/// `meanwhile` happens while an idle move waits at the gate. Answers the children that are left in the end.
async fn during_an_idle_move(idle_move: LogSql, in_the_move: &str, meanwhile: &str) -> Result<Vec<String>> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let (under_test, real) = engines(&pair, idle_move).await?;
    pair.main.execute(IDLE_NOTED).await?;
    let gate = Gate::close(&pair.main).await?;
    pair.main.execute(in_the_move).await?;

    let running = under_test.start();
    gate.reached().await?;
    pair.main.execute(meanwhile).await?;
    gate.open().await?;
    let moved = "SELECT seq > 1 FROM lfk.cursor WHERE settle IS NULL";
    eventually("the cursor is moved", SOON, async || pair.main.scalar(moved).await).await?;
    running.shutdown().await?;

    pair.main.execute("DELETE FROM projects WHERE id IN (1, 2)").await?;
    drain(&real).await?;
    table(&pair.ci, "builds").await
}

const DELETE_ONE: &str = "DELETE FROM public.projects WHERE id = 1";
const ANOTHER_XID: &str = "CREATE TABLE another AS SELECT 1 AS xid";

/// Calls a function once the new row of a moved cursor, and with it the snapshot, is computed.
const WHEN_MOVED: &str = "CREATE TRIGGER moved BEFORE UPDATE ON lfk.cursor FOR EACH ROW
    WHEN (OLD.cur IS NULL AND NEW.cur IS NULL AND OLD.prev::text <> NEW.prev::text) EXECUTE FUNCTION";

fn idle_moves<const N: usize>(statements: [&'static str; N]) -> LogSql {
    LogSql { idle_move: statements.into_iter().map(|sql| sql.into_sql_str()).collect(), ..LogSql::default() }
}

#[tokio::test]
async fn l13_a_delete_that_commits_during_an_idle_move_is_read_later() -> Result<()> {
    let at_the_gate = format!("{WHEN_MOVED} public.gate_trigger()");
    assert_eq!(during_an_idle_move(LogSql::default(), &at_the_gate, DELETE_ONE).await?, NOTHING_LOST);
    Ok(())
}

#[tokio::test]
async fn l13_sabotage_an_idle_move_in_two_statements_loses_what_commits_between_them() -> Result<()> {
    let broken = idle_moves([NOTE_IDLE, "SELECT public.gate()", MOVE_NOTED]);
    assert_eq!(during_an_idle_move(broken, "", DELETE_ONE).await?, FIRST_LOST);
    Ok(())
}

#[tokio::test]
async fn l13_a_delete_in_the_transaction_of_an_idle_move_is_read_later() -> Result<()> {
    let deletes = format!(
        "CREATE FUNCTION public.delete_one() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
           PERFORM public.gate();
           DELETE FROM public.projects WHERE id = 1;
           RETURN NEW;
         END $$;
         {WHEN_MOVED} public.delete_one()"
    );
    assert_eq!(during_an_idle_move(LogSql::default(), &deletes, ANOTHER_XID).await?, NOTHING_LOST);
    Ok(())
}

#[tokio::test]
async fn l13_sabotage_a_snapshot_taken_after_an_xid_loses_what_that_transaction_logs() -> Result<()> {
    let late = include_str!("../sabotage/late_snapshot.sql");
    let broken = idle_moves([include_str!("../sabotage/move_late.sql")]);
    assert_eq!(during_an_idle_move(broken, late, ANOTHER_XID).await?, FIRST_LOST);
    Ok(())
}

/// The transaction that opens a window also deletes a project, and others commit meanwhile. Answers the children that are
/// left in the end.
async fn delete_in_the_transaction_of_open(before_open: &'static str) -> Result<Vec<String>> {
    let log_sql = LogSql {
        before_open: Some(before_open.into_sql_str()),
        after_open: Some(DELETE_ONE.into_sql_str()),
        ..LogSql::default()
    };
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let (under_test, real) = engines(&pair, log_sql).await?;
    let gate = Gate::close(&pair.main).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 2").await?;

    let running = under_test.start();
    gate.reached().await?;
    pair.main.execute(ANOTHER_XID).await?;
    gate.open().await?;
    let deleted = "SELECT NOT EXISTS (SELECT FROM projects WHERE id = 1)";
    eventually("the transaction of open has deleted it", SOON, async || pair.main.scalar(deleted).await).await?;
    running.shutdown().await?;

    drain(&real).await?;
    table(&pair.ci, "builds").await
}

#[tokio::test]
async fn l13_what_is_logged_by_the_transaction_that_opens_a_window_is_read() -> Result<()> {
    assert_eq!(delete_in_the_transaction_of_open("SELECT public.gate()").await?, NOTHING_LOST);
    Ok(())
}

#[tokio::test]
async fn l13_what_is_logged_by_a_transaction_that_counts_itself_as_seen_is_in_its_own_window() -> Result<()> {
    // Here the snapshot ends a window and does not begin one: the page is read after the commit, and holds it.
    let late = "SELECT pg_current_xact_id(); SELECT public.gate()";
    assert_eq!(delete_in_the_transaction_of_open(late).await?, NOTHING_LOST);
    Ok(())
}

/// A transaction that began first commits last. Answers the children that are left in the end.
async fn commit_out_of_order(log_sql: LogSql) -> Result<Vec<String>> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let (under_test, _) = engines(&pair, log_sql).await?;
    let mut first = pair.main.connect().await?;
    sqlx::raw_sql("BEGIN; DELETE FROM projects WHERE id = 1").execute(&mut first).await?;
    let mut second = pair.main.connect().await?;
    sqlx::raw_sql("DELETE FROM projects WHERE id = 2").execute(&mut second).await?;
    drain(&under_test).await?;
    sqlx::raw_sql("COMMIT").execute(&mut first).await?;
    drain(&under_test).await?;
    table(&pair.ci, "builds").await
}

#[tokio::test]
async fn l14_a_transaction_that_commits_after_later_ones_were_read_is_read() -> Result<()> {
    assert_eq!(commit_out_of_order(LogSql::default()).await?, NOTHING_LOST);
    Ok(())
}

#[tokio::test]
async fn l14_sabotage_reading_by_id_loses_what_commits_late() -> Result<()> {
    let broken = LogSql { page: PAGE_BY_ID.into_sql_str(), ..LogSql::default() };
    assert_eq!(commit_out_of_order(broken).await?, FIRST_LOST);
    Ok(())
}

#[tokio::test]
async fn l14_sabotage_reading_by_id_works_as_long_as_nobody_is_late() -> Result<()> {
    // Otherwise the test above would prove nothing about the order of commits.
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let log_sql = LogSql { page: PAGE_BY_ID.into_sql_str(), ..LogSql::default() };
    let (under_test, _) = engines(&pair, log_sql).await?;
    for project in ["1", "2"] {
        pair.main.execute(&format!("DELETE FROM projects WHERE id = {project}")).await?;
        drain(&under_test).await?;
    }
    assert_eq!(table(&pair.ci, "builds").await?, NOTHING_LOST);
    Ok(())
}
