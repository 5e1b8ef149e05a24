//! Reading the log while its shape changes: a leaf that was dropped is made again, and rows move there. And how much of it is
//! held in memory.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use lfk_core::sabotage::{LogSql, Point};
use lfk_core::{Drained, LooseForeignKey, OnDelete, State};
use lfk_sql::statements;
use lfk_tests::scenario::{PATIENCE, activate, active, drain, installed, loose};
use lfk_tests::{Pair, TestDb, eventually};
use sqlx::{AssertSqlSafe, PgConnection, SqlSafeStr as _};
use tokio::sync::Mutex;

use crate::clean_support::{ALL_BUILDS, BUILDS, PROJECTS, activated, builder, status, table};
use crate::fault_hook::{At, SOON};

const NAME: &str = "builds.project_id";

fn builds() -> Result<LooseForeignKey> {
    loose("projects(id)", "builds(project_id)", OnDelete::Delete)
}

async fn run(session: &mut PgConnection, sql: &'static str) -> Result<()> {
    sqlx::raw_sql(sql).execute(session).await?;
    Ok(())
}

/// The current leaf is gone, and what is logged goes to the DEFAULT leaf.
async fn drop_leaf(main: &TestDb) -> Result<()> {
    let current: i64 = main.scalar("SELECT (extract(epoch FROM clock_timestamp())::bigint / 14400) % 8").await?;
    main.execute(&format!("DROP TABLE lfk.key_log_{current}")).await?;
    Ok(())
}

/// A leaf that is made again, in a transaction that is still open.
struct Restorer {
    main: TestDb,
    session: PgConnection,
}

impl Restorer {
    async fn begin(main: &TestDb) -> Result<Self> {
        let mut session = main.connect().await?;
        run(&mut session, "BEGIN; SELECT lfk.cover()").await?;
        Ok(Self { main: main.clone(), session })
    }

    async fn commit(mut self) -> Result<()> {
        run(&mut self.session, "COMMIT").await
    }

    async fn commit_when_somebody_waits(self) -> Result<()> {
        somebody_waits_for(&self.main, "lfk.key_log_default").await?;
        self.commit().await
    }
}

async fn somebody_waits_for(db: &TestDb, relation: &str) -> Result<()> {
    let waits = format!(
        "SELECT EXISTS (SELECT FROM pg_locks l JOIN pg_database d ON d.oid = l.database
           WHERE d.datname = current_database() AND NOT l.granted AND l.relation = '{relation}'::regclass)"
    );
    eventually("somebody waits", SOON, async || db.scalar(&waits).await).await
}

/// All went as if no leaf had ever been missing.
async fn nothing_is_lost(pair: &Pair) -> Result<()> {
    drain(&pair.engine([builds()?])?).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[3..]);
    assert_eq!(table(&pair.ci, "bystanders").await?, ALL_BUILDS);
    let leaves = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'lfk.key_log'::regclass";
    assert_eq!(pair.main.scalar::<i64>(leaves).await?, 9);
    assert_eq!(pair.main.scalar::<i64>("SELECT count(*) FROM lfk.key_log_default").await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn l13_a_page_that_is_read_while_a_leaf_is_restored_loses_no_key() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let begun: Arc<Mutex<Option<Restorer>>> = Arc::default();
    let (main, slot) = (pair.main.clone(), begun.clone());
    let meanwhile = At::the(Point::Opened, 1, move || {
        let (main, slot) = (main.clone(), slot.clone());
        async move {
            *slot.lock().await = Some(Restorer::begin(&main).await?);
            Ok(())
        }
    });
    let engine = activated(builder(&pair)?.hook(meanwhile), [builds()?]).await?;
    drop_leaf(&pair.main).await?;
    pair.main.execute("DELETE FROM projects WHERE id < 3").await?;
    let committed = async {
        eventually("the window is open", SOON, async || Ok(begun.lock().await.is_some())).await?;
        let restorer = begun.lock().await.take().expect("it has begun");
        restorer.commit_when_somebody_waits().await
    };
    let (visited, committed) = tokio::join!(engine.run_once(), committed);
    committed?;
    assert_eq!(visited?, Drained::Drained);
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[3..], "the window is closed behind keys that nobody saw");
    nothing_is_lost(&pair).await
}

#[tokio::test(flavor = "multi_thread")]
async fn l13_an_idle_move_while_a_leaf_is_restored_skips_no_key() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let log_sql = LogSql { idle_every: Duration::ZERO, ..LogSql::default() };
    let engine = activated(builder(&pair)?.log_sql(log_sql), [builds()?]).await?;
    // Idle moves are for paused definitions too.
    engine.set_state(&[NAME.to_owned()], State::Paused, false).await?;
    drop_leaf(&pair.main).await?;
    pair.main.execute("DELETE FROM projects WHERE id < 3").await?;
    // The worker has probed, and is held before it moves idle cursors: where it notes the time.
    let mut holder = pair.main.connect().await?;
    run(&mut holder, "BEGIN; LOCK TABLE lfk.tick IN EXCLUSIVE MODE").await?;
    let handle = engine.start();
    somebody_waits_for(&pair.main, "lfk.tick").await?;
    let restorer = Restorer::begin(&pair.main).await?;
    run(&mut holder, "COMMIT").await?;
    restorer.commit_when_somebody_waits().await?;
    // A round later: a key that is logged now is not the reason for where the cursor stands.
    let worker = "SELECT count(*) FROM lfk.tick";
    eventually("the round is over", SOON, async || Ok(pair.main.scalar::<i64>(worker).await? > 0)).await?;
    handle.shutdown().await?;
    assert_eq!(status(&engine).await?.pending_keys, 2);
    activate(&engine).await?;
    nothing_is_lost(&pair).await
}

#[tokio::test(flavor = "multi_thread")]
async fn l13_a_worker_that_starts_while_a_leaf_is_restored_finds_every_key() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [builds()?]).await?;
    drop_leaf(&pair.main).await?;
    pair.main.execute("DELETE FROM projects WHERE id < 3").await?;
    let restorer = Restorer::begin(&pair.main).await?;
    let (drained, committed) = tokio::join!(drain(&engine), restorer.commit_when_somebody_waits());
    committed.and(drained)?;
    nothing_is_lost(&pair).await
}

#[tokio::test(flavor = "multi_thread")]
async fn l13_keys_that_move_to_a_restored_leaf_are_not_taken_for_done() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    active(&pair, [builds()?]).await?;
    drop_leaf(&pair.main).await?;
    pair.main.execute("DELETE FROM projects WHERE id < 3").await?;
    let restorer = Restorer::begin(&pair.main).await?;
    let assertion = pair.main.execute("SELECT lfk.assert_drained('builds.project_id')");
    let (assertion, committed) = tokio::join!(assertion, restorer.commit_when_somebody_waits());
    committed?;
    let error = format!("{:?}", assertion.expect_err("nothing is done"));
    assert!(error.contains("keys in the log wait"), "{error}");
    nothing_is_lost(&pair).await
}

#[tokio::test(flavor = "multi_thread")]
async fn l13_a_leaf_that_takes_long_to_restore_fails_no_run_and_blocks_nobody() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [builds()?]).await?;
    drop_leaf(&pair.main).await?;
    pair.main.execute("DELETE FROM projects WHERE id < 3").await?;
    // Longer than anybody waits for a lock.
    let restorer = Restorer::begin(&pair.main).await?;
    assert_eq!(engine.run_until_drained(Some(Duration::from_secs(3))).await?, Drained::TimedOut);
    restorer.commit().await?;
    assert_ne!(status(&engine).await?.condition, "blocked");
    drain(&engine).await?;
    nothing_is_lost(&pair).await
}

/// Keys behind which no further row of the log is in a page, and the most that a row has.
const PAGE_AND_ROW: (i64, i64) = (20_000, 1_000);

#[tokio::test]
async fn l07_a_page_after_many_small_rows_of_the_log_does_not_hold_many_large_ones() -> Result<()> {
    let parents =
        "CREATE TABLE projects (id bigint PRIMARY KEY); INSERT INTO projects SELECT generate_series(1, 46000);
        CREATE TABLE pages (n int GENERATED ALWAYS AS IDENTITY, keys bigint);
        CREATE FUNCTION noted(keys bigint) RETURNS bigint LANGUAGE sql VOLATILE SECURITY DEFINER AS
          'INSERT INTO public.pages (keys) VALUES ($1) RETURNING keys'";
    let pair = Pair::with_schema(parents, BUILDS).await?;
    // Of each row that is returned, so many keys the page has up to it.
    let page = statements::PAGE.replace("AS tkeys, z.up_to", "AS tkeys, public.noted(z.up_to) AS up_to");
    assert_ne!(page, statements::PAGE);
    let log_sql = LogSql { page: as_sql(page), ..LogSql::default() };
    let engine = builder(&pair)?.log_sql(log_sql).definitions([builds()?]).build()?;
    // It observes: every key is read, and nothing is done with it.
    let engine = installed(engine).await?;
    let one_by_one = "DO $$ BEGIN FOR i IN 1..6000 LOOP DELETE FROM projects WHERE id = i; END LOOP; END $$";
    pair.main.execute(one_by_one).await?;
    pair.main.execute("DELETE FROM projects").await?;
    assert_eq!(pair.main.scalar::<i64>("SELECT count(*) FROM lfk.key_log").await?, 6040);
    assert_eq!(engine.run_until_drained(Some(PATIENCE)).await?, Drained::Drained);
    assert_eq!(status(&engine).await?.observed_keys, 46000);
    let largest = pair.main.scalar::<i64>("SELECT max(keys) FROM pages").await?;
    let (page, row) = PAGE_AND_ROW;
    assert!((page..page + row).contains(&largest), "the largest page has {largest} keys");
    Ok(())
}

#[expect(clippy::disallowed_methods, reason = "the SQL of tests is written in tests")]
fn as_sql(sql: String) -> sqlx::SqlStr {
    AssertSqlSafe(sql).into_sql_str()
}
