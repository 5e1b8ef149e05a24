//! What has to wait, waits alone: a database that is down, locked children, an open transaction, a held snapshot.

use std::time::Duration;

use anyhow::{Context as _, Result};
use lfk_core::{Database, Drained, Engine, ErrorKind, LooseForeignKey, OnDelete};
use lfk_tests::scenario::{PATIENCE, active, drain, loose};
use lfk_tests::{Cluster, Mode, Pair, Proxy, Role, TestDb, eventually};
use sqlx::postgres::PgPoolOptions;

use crate::clean_support::{
    ALL_BUILDS, BUILDS, PROJECTS, Place, THOUSAND_BUILDS, THOUSAND_PROJECTS, activated, builder, retries, status, table,
};

fn builds() -> Result<LooseForeignKey> {
    loose("projects(id)", "builds(project_id)", OnDelete::Delete)
}

#[tokio::test]
async fn l06_a_database_that_is_down_holds_up_only_its_own_definitions() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let far = TestDb::with_schema(Role::Ci, BUILDS).await?;
    let proxy = Proxy::in_front_of(&Role::Ci.cluster().await?).await?;
    let impatient = PgPoolOptions::new().acquire_timeout(Duration::from_millis(300));
    let far_pool = impatient.connect_lazy(&proxy.url(&far.name))?;
    let far_builds =
        LooseForeignKey::new("main:public.projects(id)", "far:public.builds(project_id)", OnDelete::Delete)?;
    let databases = builder(&pair)?.database(Database::new("far", far_pool));
    let engine = activated(databases, [builds()?, far_builds.named("far")]).await?;

    proxy.set(Mode::Refuse).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    let error = engine.run_until_drained(Some(Duration::from_secs(1))).await.err().context("drained without it")?;
    assert_eq!((error.kind, error.database.as_deref()), (ErrorKind::Unreachable, Some("far")), "{error}");
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    assert_eq!(table(&far, "builds").await?, ALL_BUILDS);

    // Work that comes while it is down is not in its way either, and it catches up with all of it.
    pair.main.execute("DELETE FROM projects WHERE id = 3").await?;
    engine.run_until_drained(Some(Duration::from_millis(500))).await.err().context("drained without it")?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(21,2,0)", "(90,,0)"]);
    proxy.set(Mode::Pass).await?;
    drain(&engine).await?;
    assert_eq!(table(&far, "builds").await?, ["(21,2,0)", "(90,,0)"]);
    Ok(())
}

#[tokio::test]
async fn l11_locked_children_are_left_alone_and_reached_later() -> Result<()> {
    for place in [Place::AnotherServer, Place::SameDatabase] {
        let pair = place.pair(PROJECTS, BUILDS).await?;
        // With a single attempt before quarantine: a lock is nobody's fault and never counts.
        let engine = activated(builder(&pair)?.quarantine_after(1), [builds()?]).await?;
        let mut application = pair.ci.connect().await?;
        sqlx::raw_sql("BEGIN; SELECT FROM builds WHERE id = 12 FOR UPDATE").execute(&mut application).await?;
        pair.main.execute("DELETE FROM projects").await?;

        let handle = engine.start();
        eventually("the locked key is set aside", PATIENCE, async || Ok(!retries(&pair.main).await?.is_empty()))
            .await?;
        // The code is that of lock_timeout: no statement of ours was still waiting, and none was cancelled by its length.
        assert_eq!(retries(&pair.main).await?, ["({1},locked,55P03,f)"], "{place:?}");
        let of_others = "builds WHERE project_id IN (2, 3)";
        eventually("the others are done", PATIENCE, async || Ok(table(&pair.ci, of_others).await?.is_empty())).await?;
        assert!(table(&pair.ci, "builds").await?.contains(&ALL_BUILDS[1].to_owned()), "{place:?}");
        handle.shutdown().await?;

        // Not even an attempt that fails again gives it up.
        pair.main.execute("UPDATE lfk.retry SET not_before = '-infinity'").await?;
        let again = engine.run_once().await?;
        assert_eq!(again, Drained::Drained, "{place:?}");
        assert_eq!(retries(&pair.main).await?, ["({1},locked,55P03,f)"], "{place:?}");

        sqlx::raw_sql("COMMIT").execute(&mut application).await?;
        drain(&engine).await?;
        assert_eq!(table(&pair.ci, "builds").await?, ["(90,,0)"], "{place:?}");
        assert!(retries(&pair.main).await?.is_empty(), "{place:?}");
    }
    Ok(())
}

#[tokio::test]
async fn l11_a_locked_child_holds_up_no_other_of_its_batch() -> Result<()> {
    for place in [Place::AnotherServer, Place::SameDatabase] {
        let pair = place.pair(THOUSAND_PROJECTS, THOUSAND_BUILDS).await?;
        let engine = active(&pair, [builds()?]).await?;
        let mut application = pair.ci.connect().await?;
        sqlx::raw_sql("BEGIN; SELECT FROM builds WHERE id IN (7, 900) FOR SHARE").execute(&mut application).await?;
        pair.main.execute("DELETE FROM projects").await?;
        engine.run_once().await?;
        assert_eq!(table(&pair.ci, "builds").await?, ["(7,7)", "(900,900)"], "{place:?}");
        assert_eq!(retries(&pair.main).await?, ["({7},locked,55P03,f)", "({900},locked,55P03,f)"], "{place:?}");
        sqlx::raw_sql("COMMIT").execute(&mut application).await?;
        drain(&engine).await?;
        assert_eq!(table(&pair.ci, "builds").await?, [""; 0], "{place:?}");
    }
    Ok(())
}

/// Deletes project 1 in a transaction that stays open, project 2 in one that commits, and drains.
async fn expect_only_2_cleaned(pair: &Pair, engine: &Engine) -> Result<()> {
    pair.main.execute("DELETE FROM projects WHERE id = 2").await?;
    drain(engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(11,1,0)", "(12,1,4)", "(31,3,)", "(90,,0)"]);
    // Once more with the window between them closed.
    pair.main.execute("DELETE FROM projects WHERE id = 3").await?;
    drain(engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(11,1,0)", "(12,1,4)", "(90,,0)"]);
    Ok(())
}

#[tokio::test]
async fn l14_an_open_transaction_neither_loses_its_keys_nor_stalls_others() -> Result<()> {
    for place in [Place::AnotherServer, Place::SameDatabase] {
        let pair = place.pair(PROJECTS, BUILDS).await?;
        let engine = active(&pair, [builds()?]).await?;
        let mut application = pair.main.connect().await?;
        sqlx::raw_sql("BEGIN; DELETE FROM projects WHERE id = 1").execute(&mut application).await?;
        expect_only_2_cleaned(&pair, &engine).await?;
        sqlx::raw_sql("COMMIT").execute(&mut application).await?;
        drain(&engine).await?;
        assert_eq!(table(&pair.ci, "builds").await?, ["(90,,0)"], "{place:?}");
    }
    Ok(())
}

#[tokio::test]
async fn l14_a_prepared_transaction_is_waited_for_alone() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [builds()?]).await?;
    let mut application = pair.main.connect().await?;
    sqlx::raw_sql("BEGIN; DELETE FROM projects WHERE id = 1; PREPARE TRANSACTION 'l14'")
        .execute(&mut application)
        .await?;
    expect_only_2_cleaned(&pair, &engine).await?;
    sqlx::raw_sql("COMMIT PREPARED 'l14'").execute(&mut application).await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(90,,0)"]);
    Ok(())
}

#[tokio::test]
async fn l14_a_transaction_that_rolls_back_after_all_loses_nobody() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [builds()?]).await?;
    let mut application = pair.main.connect().await?;
    sqlx::raw_sql("BEGIN; DELETE FROM projects WHERE id = 1").execute(&mut application).await?;
    expect_only_2_cleaned(&pair, &engine).await?;
    sqlx::raw_sql("ROLLBACK").execute(&mut application).await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(11,1,0)", "(12,1,4)", "(90,,0)"]);
    Ok(())
}

/// 1,500 transactions that each delete one project.
async fn delete_one_by_one(main: &TestDb, from: u32) -> Result<()> {
    let to = from + 1499;
    main.execute(&format!(
        "DO $$ BEGIN FOR i IN {from}..{to} LOOP DELETE FROM projects WHERE id = i; COMMIT; END LOOP; END $$"
    ))
    .await?;
    Ok(())
}

/// Buffers that the probe and the reading of a page touch, with the settings that the worker gives them.
async fn buffers_to_read_the_log(main: &TestDb) -> Result<[i64; 2]> {
    let mut worker = main.connect().await?;
    // The transaction is rolled back with the connection.
    sqlx::raw_sql(lfk_sql::statements::BEGIN_LOG).execute(&mut worker).await?;
    let probe = lfk_sql::statements::PROBE.clone().into_sql_str();
    let probed = buffers_of(&mut worker, "probe", probe.as_str(), "3600").await?;
    let open = "UPDATE lfk.cursor SET cur = pg_current_snapshot(), pos_xid = '0', pos_id = 0 WHERE settle IS NULL RETURNING token";
    let token: i64 = sqlx::query_scalar(open).fetch_one(&mut worker).await?;
    let arguments = format!("'builds.project_id', {token}, 100, '0', 0, 20000");
    let read = buffers_of(&mut worker, "page", lfk_sql::statements::PAGE, &arguments).await?;
    Ok([probed, read])
}

#[expect(clippy::disallowed_methods, reason = "EXPLAIN takes no parameters")]
async fn buffers_of(worker: &mut sqlx::PgConnection, name: &str, statement: &str, arguments: &str) -> Result<i64> {
    let prepare = sqlx::AssertSqlSafe(format!("PREPARE {name} AS {statement}"));
    sqlx::raw_sql(prepare).execute(&mut *worker).await?;
    let explain = format!("EXPLAIN (ANALYZE, BUFFERS, FORMAT JSON) EXECUTE {name} ({arguments})");
    let explain = sqlx::AssertSqlSafe(explain);
    let row = sqlx::Executor::fetch_one(&mut *worker, sqlx::raw_sql(explain)).await?;
    let json: serde_json::Value = serde_json::from_str(sqlx::Row::try_get_unchecked(&row, 0)?)?;
    let plan = &json[0]["Plan"];
    let count = |name: &str| plan[name].as_i64().context("no buffers");
    Ok(count("Shared Hit Blocks")? + count("Shared Read Blocks")?)
}

#[tokio::test]
async fn l15_a_held_snapshot_makes_reading_the_log_no_dearer() -> Result<()> {
    let projects =
        "CREATE TABLE projects (id bigint PRIMARY KEY); INSERT INTO projects SELECT generate_series(1, 3002)";
    let children =
        "CREATE TABLE builds (id bigint PRIMARY KEY, project_id bigint); CREATE INDEX ON builds (project_id);
        INSERT INTO builds SELECT n, n FROM generate_series(1, 3002) n";
    let pair = Pair::with_schema(projects, children).await?;
    let engine = active(&pair, [builds()?]).await?;
    let mut held = Vec::new();
    for db in [&pair.main, &pair.ci] {
        let mut reader = db.connect().await?;
        sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class")
            .execute(&mut reader)
            .await?;
        held.push(reader);
    }
    let empty = buffers_to_read_the_log(&pair.main).await?;
    for from in [1, 1501] {
        delete_one_by_one(&pair.main, from).await?;
        drain(&engine).await?;
    }
    pair.main.execute("DELETE FROM projects WHERE id = 3001").await?;
    // Work that is done costs a few pages of the index, and the held snapshot keeps the versions of the cursor's and the
    // definition's rows that each turn leaves; a scan that walked the log would touch a page for each of 3,000 rows.
    let used = buffers_to_read_the_log(&pair.main).await?;
    for (used, empty) in used.into_iter().zip(empty) {
        assert!(used <= empty + 100, "{empty} pages with an empty log, {used} behind 3,000 consumed rows");
    }
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(3002,3002)"]);
    assert_eq!(status(&engine).await?.keys_total, 3001);
    Ok(())
}

#[tokio::test]
async fn l15_nothing_in_the_log_is_changed_by_being_read() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [builds()?]).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    pair.main.execute("DELETE FROM projects WHERE id = 2").await?;
    let log = "(SELECT tableoid, ctid, xmin, xmax, l.* FROM lfk.key_log l) l";
    let before = table(&pair.main, log).await?;
    assert_eq!(before.len(), 2);
    drain(&engine).await?;
    assert_eq!(table(&pair.main, log).await?, before);
    assert_eq!(status(&engine).await?.keys_total, 2);
    Ok(())
}

#[tokio::test]
async fn l11_a_lock_is_never_waited_for_as_long_as_a_check_for_deadlocks() -> Result<()> {
    // The server logs who has waited for a second.
    let server = Cluster::start_with(&[("log_lock_waits", "on"), ("deadlock_timeout", "1s")]).await?;
    let waited = || server.log().contains("still waiting for");
    let pair = Pair { main: TestDb::with_schema(Role::Main, PROJECTS).await?, ci: TestDb::on(&server).await? };
    pair.ci.execute(BUILDS).await?;
    let engine = active(&pair, [builds()?]).await?;
    let mut application = pair.ci.connect().await?;
    sqlx::raw_sql("BEGIN; SELECT FROM builds WHERE id = 12 FOR UPDATE").execute(&mut application).await?;
    pair.main.execute("DELETE FROM projects").await?;
    engine.run_once().await?;
    assert_eq!(retries(&pair.main).await?, ["({1},locked,55P03,f)"]);
    assert!(!waited(), "{}", server.log());
    // The log would have it.
    let impatient = "SET lock_timeout = '3s'; UPDATE builds SET status = 5 WHERE id = 12";
    assert!(pair.ci.execute(impatient).await.is_err());
    assert!(waited(), "{}", server.log());
    Ok(())
}
