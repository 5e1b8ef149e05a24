//! F5: poolers that hand out server connections transaction by transaction.

use anyhow::{Context as _, Result};
use lfk_core::{Database, Engine, ErrorKind, LooseForeignKey, OnDelete, Pooler};
use lfk_sql::Ident;
use lfk_tests::scenario::{PATIENCE, activate, active, drain, loose};
use lfk_tests::{Cli, Pair, PgBouncer, Role, Signal, TestDb, eventually};
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{Connection as _, Executor as _};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

use crate::clean_support::{BUILDS, PROJECTS, table};

/// What makes PgBouncer swallow what it cannot keep for a client.
const SWALLOWS: (&str, &str) = ("ignore_startup_parameters", "extra_float_digits,options");

/// A PgBouncer in front of each of the two shared servers.
async fn bouncers(settings: &[(&str, &str)]) -> Result<(PgBouncer, PgBouncer)> {
    let (main, ci) = (Role::Main.cluster().await?, Role::Ci.cluster().await?);
    let started = tokio::join!(PgBouncer::in_front_of(&main, settings), PgBouncer::in_front_of(&ci, settings));
    Ok((started.0?, started.1?))
}

fn engine_through(
    bouncers: &(PgBouncer, PgBouncer),
    pair: &Pair,
    pooler: Pooler,
    keys: Vec<LooseForeignKey>,
) -> Result<Engine> {
    let main = Database::connect_lazy_through("main", &bouncers.0.url(&pair.main.name), pooler)?;
    let ci = Database::connect_lazy_through("ci", &bouncers.1.url(&pair.ci.name), pooler)?;
    Ok(Engine::builder().database(main).database(ci).definitions(keys).build()?)
}

/// A connection of an application, which knows what its pooler can do: no startup options, no prepared statements.
async fn application(bouncer: &PgBouncer, db: &TestDb) -> Result<sqlx::PgConnection> {
    let options: PgConnectOptions = bouncer.url(&db.name).parse()?;
    Ok(sqlx::PgConnection::connect_with(&options.extra_float_digits(None)).await?)
}

/// Applications behind the same pooler: short and long transactions over the same server connections, in each of which they
/// leave statements under the very names that the driver of lfk would use.
fn crowd(bouncer: &PgBouncer, db: &TestDb, stop: &CancellationToken) -> Vec<AbortOnDropHandle<Result<()>>> {
    const TRAP: &str = "DO $$ BEGIN FOR n IN 1..40 LOOP
        IF NOT EXISTS (SELECT FROM pg_prepared_statements WHERE name = 'sqlx_s_' || n) THEN
          EXECUTE format('PREPARE sqlx_s_%s AS SELECT 42 AS foreign_result', n);
        END IF; END LOOP; END $$";
    let client = |number: u32| {
        let (url, stop) = (bouncer.url(&db.name), stop.clone());
        AbortOnDropHandle::new(tokio::spawn(async move {
            let options: PgConnectOptions = url.parse()?;
            let mut connection = sqlx::PgConnection::connect_with(&options.extra_float_digits(None)).await?;
            while !stop.is_cancelled() {
                connection.execute(TRAP).await?;
                connection.execute("BEGIN; SET LOCAL search_path = pg_temp; SELECT 7; COMMIT").await?;
                if number == 0 {
                    connection.execute("SET application_name = 'an application'; SELECT pg_sleep(0.005)").await?;
                }
            }
            Ok(())
        }))
    };
    (0..3).map(client).collect()
}

const CHILDREN: &str = "
    CREATE TABLE builds (id int PRIMARY KEY, project_id bigint); CREATE INDEX ON builds (project_id);
    CREATE TABLE notes (id int PRIMARY KEY, project_id bigint, by text DEFAULT 'them'); CREATE INDEX ON notes (project_id);
    CREATE TABLE stars (id int PRIMARY KEY, project_id bigint, state int DEFAULT 1); CREATE INDEX ON stars (project_id);
    INSERT INTO builds SELECT n, (n + 1) / 2 FROM generate_series(1, 4000) n;
    INSERT INTO notes SELECT n, n FROM generate_series(1, 2000) n;
    INSERT INTO stars SELECT n, n FROM generate_series(1, 2000) n;";

fn three_keys() -> Result<Vec<LooseForeignKey>> {
    let four = vec![(Ident::new("state")?, Some("4".to_owned()))];
    Ok(vec![
        loose("projects(id)", "builds(project_id)", OnDelete::Delete)?,
        loose("projects(id)", "notes(project_id)", OnDelete::SetNull)?,
        loose("projects(id)", "stars(project_id)", OnDelete::Set(four))?,
    ])
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn f05_through_a_transaction_pooler_full_of_other_clients_every_statement_is_right() -> Result<()> {
    let parents = "CREATE TABLE projects (id bigint PRIMARY KEY); INSERT INTO projects SELECT generate_series(1, 2000)";
    let pair = Pair::with_schema(parents, CHILDREN).await?;
    let bouncers = bouncers(&[]).await?;
    let stop = CancellationToken::new();
    let mut others = crowd(&bouncers.0, &pair.main, &stop);
    others.extend(crowd(&bouncers.1, &pair.ci, &stop));

    let engine = engine_through(&bouncers, &pair, Pooler::Transaction, three_keys()?)?;
    engine.install().await?;
    activate(&engine).await?;
    let running = [engine.start(), engine_through(&bouncers, &pair, Pooler::Transaction, three_keys()?)?.start()];
    let mut app = application(&bouncers.0, &pair.main).await?;
    for n in 0..20 {
        // Each statement deletes a hundred projects, of which every fifth comes back.
        let delete = format!("DELETE FROM projects WHERE id % 20 = {n}");
        let back =
            format!("INSERT INTO projects SELECT n FROM generate_series(1, 2000) n WHERE n % 20 = {n} AND n % 5 = 0");
        pair.main.execute(&format!("BEGIN; {delete}; {back}; COMMIT")).await?;
        app.execute("SELECT count(*) FROM projects").await?;
    }
    drain(&engine).await?;
    for handle in running {
        handle.shutdown().await?;
    }
    stop.cancel();
    for other in others {
        other.await??;
    }

    let wrong = |sql: &'static str| pair.ci.scalar::<i64>(sql);
    assert_eq!(pair.main.scalar::<i64>("SELECT count(*) FROM projects").await?, 400);
    assert_eq!(wrong("SELECT count(*) FROM builds").await?, 800);
    assert_eq!(wrong("SELECT count(*) FROM builds WHERE project_id % 5 <> 0").await?, 0);
    assert_eq!(wrong("SELECT count(*) FROM notes WHERE (project_id IS NULL) = (id % 5 = 0) OR by <> 'them'").await?, 0);
    assert_eq!(wrong("SELECT count(*) FROM stars WHERE (state = 4) = (id % 5 = 0) OR project_id <> id").await?, 0);
    let status = engine.status().await?;
    for key in &status.loose_foreign_keys {
        assert_eq!((key.condition.as_str(), key.retries, key.quarantined), ("ok", 0, 0), "{key:?}");
    }
    Ok(())
}

#[tokio::test]
async fn f05_a_pool_of_the_application_works_through_a_pooler_once_that_is_declared() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let bouncers = bouncers(&[("default_pool_size", "3")]).await?;
    let stop = CancellationToken::new();
    let pool = |bouncer: &PgBouncer, db: &TestDb| -> Result<PgPool> {
        let options: PgConnectOptions = bouncer.url(&db.name).parse()?;
        let pool = PgPoolOptions::new().max_connections(8).test_before_acquire(false);
        Ok(pool.connect_lazy_with(options.extra_float_digits(None)))
    };
    let (main, ci) = (pool(&bouncers.0, &pair.main)?, pool(&bouncers.1, &pair.ci)?);
    let key = || loose("projects(id)", "builds(project_id)", OnDelete::Delete);
    let engine = |pooler: Pooler| -> Result<Engine> {
        let main = Database::new("main", main.clone()).with_pooler(pooler);
        let ci = Database::new("ci", ci.clone()).with_pooler(pooler);
        Ok(Engine::builder().database(main).database(ci).definitions([key()?]).build()?)
    };
    let declared = engine(Pooler::Transaction)?;
    declared.install().await?;
    activate(&declared).await?;
    // From here on every server connection holds statements of others under the names of the driver.
    let others = [crowd(&bouncers.0, &pair.main, &stop), crowd(&bouncers.1, &pair.ci, &stop)];
    let undeclared = engine(Pooler::None)?;
    eventually("names collide where nothing is declared", PATIENCE, async || Ok(undeclared.plan().await.is_err()))
        .await?;

    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    drain(&declared).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(21,2,0)", "(31,3,)", "(90,,0)"]);
    stop.cancel();
    for other in others.into_iter().flatten() {
        other.await??;
    }
    Ok(())
}

const KEY: &str = "[[loose_foreign_key]]
    parent = \"main:public.projects(id)\"
    child = \"ci:public.builds(project_id)\"
    on_delete = \"delete\"";

fn cli(bouncers: &(PgBouncer, PgBouncer), pair: &Pair, pooler: &str) -> Result<Cli> {
    let (main, ci) = (bouncers.0.url(&pair.main.name), bouncers.1.url(&pair.ci.name));
    Cli::new(&format!(
        "format = 1\n[database.main]\nurl = \"{main}\"\n{pooler}\n[database.ci]\nurl = \"{ci}\"\n{pooler}\n{KEY}\n"
    ))
}

#[tokio::test]
async fn f05_the_daemon_works_through_a_declared_pooler() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let bouncers = bouncers(&[]).await?;
    let lfk = cli(&bouncers, &pair, "pooler = \"transaction\"")?;
    lfk.run(["install"]).await?.expect(0);
    lfk.run(["activate", "--all"]).await?.expect(0);
    let stop = CancellationToken::new();
    let _others = [crowd(&bouncers.0, &pair.main, &stop), crowd(&bouncers.1, &pair.ci, &stop)];
    let mut daemon = lfk.spawn(["run"])?;
    pair.main.execute("DELETE FROM projects WHERE id IN (1, 3)").await?;
    eventually("the children are gone", PATIENCE, async || {
        Ok(table(&pair.ci, "builds").await? == ["(21,2,0)", "(90,,0)"])
    })
    .await?;
    daemon.signal(Signal::Terminate)?;
    let ended = daemon.wait(PATIENCE).await?.expect(0);
    assert!(!ended.stderr.contains("WARN") && !ended.stderr.contains("ERROR"), "{}", ended.stderr);
    Ok(())
}

/// Runs everything that would touch a database, and expects each to be refused with the remedy before it does.
async fn every_command_is_refused(settings: &[(&str, &str)]) -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    // So that whatever is not refused would work, and be seen.
    let _installed = active(&pair, [loose("projects(id)", "builds(project_id)", OnDelete::Delete)?]).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    let before = pair.main.rows("SELECT prev, cur, token FROM lfk.cursor ORDER BY consumer").await?;
    let bouncers = bouncers(settings).await?;
    let lfk = cli(&bouncers, &pair, "")?;
    for command in ["plan", "install", "activate --all", "run --once", "run --until-drained", "run"] {
        let refused = lfk.run(command.split(' ')).await?.expect(4);
        for word in ["transaction pooler that is not declared", "pooler = \"transaction\"", "directly"] {
            assert!(refused.stderr.contains(word), "{command}: no {word:?} in {}", refused.stderr);
        }
        assert!(!refused.stderr.contains("postgres://"), "{}", refused.stderr);
    }
    assert_eq!(table(&pair.ci, "builds").await?.len(), 5);
    assert_eq!(pair.main.rows("SELECT prev, cur, token FROM lfk.cursor ORDER BY consumer").await?, before);
    Ok(())
}

#[tokio::test]
async fn f05_an_undeclared_pooler_is_refused() -> Result<()> {
    every_command_is_refused(&[]).await
}

#[tokio::test]
async fn f05_an_undeclared_pooler_that_swallows_startup_options_is_refused() -> Result<()> {
    every_command_is_refused(&[SWALLOWS]).await
}

#[tokio::test]
async fn f05_a_session_that_went_to_another_client_is_noticed() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    // As if the pooler had passed on what lfk asks for when it connects: then only the value in the session is left.
    for db in [&pair.main, &pair.ci] {
        db.execute(&format!("ALTER DATABASE {} SET lfk.direct = 'on'", db.name)).await?;
    }
    let bouncers = bouncers(&[SWALLOWS, ("default_pool_size", "1")]).await?;
    let key = loose("projects(id)", "builds(project_id)", OnDelete::Delete)?;
    let engine = engine_through(&bouncers, &pair, Pooler::None, vec![key])?;
    // Whether this is noticed already depends on how many connections it takes.
    let _ = engine.plan().await;
    let mut other = application(&bouncers.0, &pair.main).await?;
    other.execute("SELECT set_config('lfk.session', 'mine', false)").await?;
    let refused = engine.plan().await.err().context("nobody noticed")?;
    assert_eq!(refused.kind, ErrorKind::Refused, "{refused}");
    assert_eq!(refused.database.as_deref(), Some("main"));
    assert!(refused.hint.as_deref().is_some_and(|h| h.contains("pooler = \"transaction\"")), "{refused:?}");
    Ok(())
}
