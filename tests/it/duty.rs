//! Beside others who are at work in the children's server, statements are short and rests are long; alone they are not.

use std::time::Duration;

use anyhow::{Context as _, Result};
use lfk_core::{Engine, SignalStatus};
use lfk_sql::statements;
use lfk_tests::scenario::{PATIENCE, drain, roles_of};
use lfk_tests::{Cluster, Pair, Role, TestDb, eventually};
use tokio_util::sync::CancellationToken;

use crate::clean_support::{BUILDS, PROJECTS, activated, builder, unresting};
use crate::fault_hook::Task;
use crate::log_support::builds;

/// Deleting takes a fraction of a millisecond for each row, and how many rows each statement had is noted.
const SLOWLY: &str =
    "CREATE TABLE projects (id bigint PRIMARY KEY); INSERT INTO projects SELECT generate_series(1, 3600)";
const NOTED: &str = "CREATE TABLE builds (id bigint PRIMARY KEY, project_id bigint);
    CREATE INDEX ON builds (project_id); INSERT INTO builds SELECT n, n FROM generate_series(1, 3600) n;
    CREATE TABLE noted (n bigserial, rows bigint); GRANT INSERT ON noted TO PUBLIC; GRANT USAGE ON SEQUENCE noted_n_seq TO PUBLIC;
    CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.0002); RETURN OLD; END $$;
    CREATE TRIGGER dawdle BEFORE DELETE ON builds FOR EACH ROW EXECUTE FUNCTION dawdle();
    CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
      $$ BEGIN INSERT INTO noted (rows) SELECT count(*) FROM gone; RETURN NULL; END $$;
    CREATE TRIGGER note AFTER DELETE ON builds REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION note();";

/// No statement here takes so long alone, however busy the machine is.
const LONG: Duration = Duration::from_secs(10);

/// The children's server is one that no other test uses, so that nobody is at work there but those of this test.
async fn own_server(main: &str, ci: &str) -> Result<(Cluster, Pair)> {
    let server = Cluster::start().await?;
    let pair = Pair { main: TestDb::with_schema(Role::Main, main).await?, ci: TestDb::on(&server).await? };
    pair.ci.execute(ci).await?;
    Ok((server, pair))
}

/// An application that sends one statement after the other, until it is told to stop.
fn application(pair: &Pair, stop: &CancellationToken) -> Task<Result<()>> {
    let (ci, stop) = (pair.ci.clone(), stop.clone());
    Task::spawn(async move {
        while !stop.is_cancelled() {
            ci.execute("SELECT").await?;
        }
        Ok(())
    })
}

/// The fewest rows that a statement had, but for the last one, which has what is left.
async fn fewest_rows(pair: &Pair) -> Result<i64> {
    pair.ci.scalar("SELECT min(rows) FROM noted WHERE n < (SELECT max(n) FROM noted)").await
}

async fn may_look(engine: &Engine, pair: &Pair) -> Result<()> {
    pair.ci.execute(&format!("GRANT pg_monitor TO {}", roles_of(engine)?.worker)).await?;
    Ok(())
}

async fn others(engine: &Engine) -> Result<SignalStatus> {
    let signals = engine.signals().await;
    signals.into_iter().find(|s| s.signal == "others_at_work").context("no such signal")
}

#[tokio::test]
async fn l11_beside_an_application_statements_become_short() -> Result<()> {
    let (_server, pair) = own_server(SLOWLY, NOTED).await?;
    let engine = activated(builder(&pair)?.target_time(LONG), [builds()?]).await?;
    may_look(&engine, &pair).await?;
    pair.main.execute("DELETE FROM projects WHERE id <= 1800").await?;
    let stop = CancellationToken::new();
    let application = application(&pair, &stop);
    drain(&engine).await?;
    stop.cancel();
    application.end().await??;
    assert!(fewest_rows(&pair).await? < 100);
    Ok(())
}

#[tokio::test]
async fn l11_alone_and_where_it_may_take_all_of_the_time_statements_stay_long() -> Result<()> {
    let (_server, pair) = own_server(SLOWLY, NOTED).await?;
    let engine = activated(builder(&pair)?.target_time(LONG), [builds()?]).await?;
    may_look(&engine, &pair).await?;
    eventually("nobody is at work", PATIENCE, async || Ok(others(&engine).await?.condition == "none")).await?;
    pair.main.execute("DELETE FROM projects WHERE id <= 1800").await?;
    drain(&engine).await?;
    assert!(fewest_rows(&pair).await? >= 100);
    drop(engine);
    pair.ci.execute("DELETE FROM noted").await?;

    let engine = unresting(&pair)?.target_time(LONG).definitions([builds()?]).build()?;
    pair.main.execute("DELETE FROM projects").await?;
    let stop = CancellationToken::new();
    let application = application(&pair, &stop);
    drain(&engine).await?;
    assert_eq!(others(&engine).await?.condition, "ok");
    stop.cancel();
    application.end().await??;
    assert!(fewest_rows(&pair).await? >= 100);
    Ok(())
}

#[tokio::test]
async fn l11_who_is_at_work_is_seen_where_the_role_may_look_and_said_to_be_unknown_where_it_may_not() -> Result<()> {
    let (server, pair) = own_server(PROJECTS, BUILDS).await?;
    let engine = activated(builder(&pair)?, [builds()?]).await?;
    let worker = roles_of(&engine)?.worker.clone();
    // Connected and idle, as a pool is.
    let mut session = pair.ci.connect().await?;
    let hidden = others(&engine).await?;
    assert_eq!(hidden.condition, "unknown");
    let remedy = format!("GRANT pg_monitor TO {worker}; -- in database ci");
    assert!(hidden.note.as_deref().is_some_and(|note| note.contains(&remedy)), "{hidden:?}");

    may_look(&engine, &pair).await?;
    let quiet = async || Ok(others(&engine).await?.condition == "none");
    eventually("idle sessions are not at work", PATIENCE, quiet).await?;
    sqlx::raw_sql("BEGIN; SELECT").execute(&mut session).await?;
    eventually("nor is one that waits in its transaction", PATIENCE, quiet).await?;

    // In another database of the same server.
    let (stop, another) = (CancellationToken::new(), TestDb::on(&server).await?);
    let stopped = stop.clone();
    let long = Task::spawn(async move {
        tokio::select! {
            done = another.execute("SELECT pg_sleep(600)") => done.map(drop),
            () = stopped.cancelled() => Ok(()),
        }
    });
    eventually("somebody is at work", PATIENCE, async || Ok(others(&engine).await?.condition == "rests")).await?;
    let note = others(&engine).await?.note.context("no note")?;
    assert_eq!(note, "others are at work: lfk writes for 20 % of the time (duty_percent)");
    stop.cancel();
    long.end().await??;
    Ok(())
}

#[tokio::test]
async fn l11_sessions_of_lfk_itself_are_no_others() -> Result<()> {
    let (_server, pair) = own_server(PROJECTS, BUILDS).await?;
    let mut ours = pair.ci.connect().await?;
    sqlx::raw_sql("SET application_name = 'lfk/test'").execute(&mut ours).await?;
    let mut looker = pair.ci.connect().await?;
    let at_work = async |looker: &mut sqlx::PgConnection| -> Result<i64> {
        let row: (i64, i64, String) =
            sqlx::query_as(statements::OTHERS_AT_WORK).bind(600.0).bind("lfk/").fetch_one(looker).await?;
        Ok(row.0)
    };
    let with_ours = at_work(&mut looker).await?;
    sqlx::raw_sql("SET application_name = 'app'").execute(&mut ours).await?;
    assert_eq!(at_work(&mut looker).await?, with_ours + 1);
    Ok(())
}
