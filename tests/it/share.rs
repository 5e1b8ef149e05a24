//! Several workers on one definition: leases, fences, and what a worker that was held does when it goes on.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use lfk_core::sabotage::Point;
use lfk_core::{Database, Drained, Engine, ErrorKind, LooseForeignKey, OnDelete};
use lfk_sql::Ident;
use lfk_tests::scenario::{PATIENCE, active, drain, expire_leases, loose};
use lfk_tests::{Cli, Pair, Signal, TestDb, eventually};
use sqlx::postgres::PgPoolOptions;
use tokio::sync::Mutex;

use crate::fault_hook::{At, Gate, SOON, Task, hooked};

const PROJECTS: &str = "
    CREATE TABLE projects (id bigint PRIMARY KEY);
    INSERT INTO projects SELECT generate_series(1, 20)";
const BUILDS: &str = "
    CREATE TABLE builds (id bigint PRIMARY KEY, project_id bigint);
    CREATE INDEX ON builds (project_id);
    INSERT INTO builds SELECT n * 10, n FROM generate_series(1, 20) n";

fn definition() -> Result<LooseForeignKey> {
    loose("projects(id)", "builds(project_id)", OnDelete::Delete)
}

async fn projects_and_builds() -> Result<Pair> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    active(&pair, [definition()?]).await?;
    Ok(pair)
}

async fn builds(pair: &Pair) -> Result<String> {
    pair.ci.scalar("SELECT string_agg(project_id::text, ' ' ORDER BY project_id) FROM builds").await
}

/// Everything in the cursor row that a fenced write must not change.
async fn cursor(pair: &Pair) -> Result<Vec<Vec<Option<String>>>> {
    pair.main.rows("SELECT token, owner, seq, prev, prev_at, cur, cur_at, pos_xid, pos_id, keys_total, rows_affected_total FROM lfk.cursor WHERE settle IS NULL").await
}

/// Ends the lease of whoever is held, and waits until somebody else has it.
async fn taken_over(home: &TestDb) -> Result<()> {
    let token: i64 = home.scalar("SELECT token FROM lfk.cursor WHERE settle IS NULL").await?;
    eventually("the lease is taken over", SOON, async || {
        // Again, should the one who is held have renewed it just now.
        let mine = format!(
            "UPDATE lfk.cursor SET lease_until = '-infinity', stamp = pg_current_xact_id() WHERE settle IS NULL AND token = {token}"
        );
        home.execute(&mine).await?;
        Ok(home.scalar::<i64>("SELECT token FROM lfk.cursor WHERE settle IS NULL").await? > token)
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn l13_a_worker_that_wakes_up_in_a_taken_over_window_moves_nothing() -> Result<()> {
    let pair = projects_and_builds().await?;
    pair.main.execute("DELETE FROM projects WHERE id <= 5").await?;

    // The first has done all of the window, and is held before it closes it.
    let held = Gate::at(Point::BatchDone, 1);
    let sleeper = hooked(&pair, [definition()?], held.clone())?;
    let slept = Task::spawn(async move { sleeper.run_once().await });
    held.is_held().await?;
    pair.main.execute("DELETE FROM projects WHERE id BETWEEN 6 AND 15").await?;

    // The second finishes that window, and has opened the next one, of which it has read nothing yet.
    let next = Gate::at(Point::Opened, 2);
    let follower = hooked(&pair, [definition()?], next.clone())?;
    let followed = Task::spawn(async move { follower.run_until_drained(Some(PATIENCE)).await });
    taken_over(&pair.main).await?;
    next.is_held().await?;
    let before = cursor(&pair).await?;

    held.open();
    let error = slept.end().await?.err().context("it went on")?;
    assert_eq!(error.kind, ErrorKind::LeaseLost, "{error}");
    assert_eq!(cursor(&pair).await?, before, "its close was not fenced");

    next.open();
    assert_eq!(followed.end().await??, Drained::Drained);
    assert_eq!(builds(&pair).await?, "16 17 18 19 20", "keys were lost");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn l13_an_equal_token_of_another_owner_is_fenced_too() -> Result<()> {
    let pair = projects_and_builds().await?;
    pair.main.execute("DELETE FROM projects WHERE id <= 5").await?;
    let held = Gate::at(Point::BatchDone, 1);
    let sleeper = hooked(&pair, [definition()?], held.clone())?;
    let slept = Task::spawn(async move { sleeper.run_once().await });
    held.is_held().await?;

    // As after a restore from a backup, when the token was counted up to the same number once more.
    pair.main.execute("UPDATE lfk.cursor SET owner = gen_random_uuid(), stamp = pg_current_xact_id()").await?;
    let before = cursor(&pair).await?;
    held.open();
    let error = slept.end().await?.err().context("it went on")?;
    assert_eq!(error.kind, ErrorKind::LeaseLost, "{error}");
    assert_eq!(cursor(&pair).await?, before);

    expire_leases(&pair.main).await?;
    drain(&pair.engine([definition()?])?).await?;
    assert_eq!(builds(&pair).await?, "6 7 8 9 10 11 12 13 14 15 16 17 18 19 20");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn l13_a_lease_that_is_taken_over_in_the_middle_of_a_batch_does_no_harm() -> Result<()> {
    let pair = projects_and_builds().await?;
    pair.main.execute("DELETE FROM projects WHERE id <= 5").await?;
    // Held with the children deleted and not committed: the second finds them locked.
    let held = Gate::at(Point::CleanedUncommitted, 1);
    let sleeper = hooked(&pair, [definition()?], held.clone())?;
    let slept = Task::spawn(async move { sleeper.run_once().await });
    held.is_held().await?;

    let follower = pair.engine([definition()?])?;
    let followed = Task::spawn(async move { follower.run_until_drained(Some(PATIENCE)).await });
    taken_over(&pair.main).await?;
    let aside = "SELECT count(*) FROM lfk.retry WHERE reason = 'locked'";
    eventually("the second sets them aside", SOON, async || Ok(pair.main.scalar::<i64>(aside).await? == 5)).await?;
    held.open();
    let error = slept.end().await?.err().context("it went on")?;
    assert_eq!(error.kind, ErrorKind::LeaseLost, "{error}");

    assert_eq!(followed.end().await??, Drained::Drained);
    assert_eq!(builds(&pair).await?, "6 7 8 9 10 11 12 13 14 15 16 17 18 19 20");
    assert_eq!(pair.main.scalar::<i64>("SELECT count(*) FROM lfk.retry").await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn l13_a_worker_that_froze_looks_again_before_it_acts() -> Result<()> {
    let pair = projects_and_builds().await?;
    pair.main.execute("DELETE FROM projects WHERE id = 7").await?;
    let held = Gate::at(Point::Rechecked, 1);
    let sleeper = hooked(&pair, [definition()?], held.clone())?;
    let slept = Task::spawn(async move { sleeper.run_once().await });
    held.is_held().await?;

    // It has seen that 7 is gone; 7 comes back, and only then the worker goes on, later than it may trust what it saw.
    pair.main.execute("INSERT INTO projects VALUES (7)").await?;
    passes(&pair.ci, Duration::from_millis(2_050)).await?;
    held.open();
    assert_eq!(slept.end().await??, Drained::Drained);
    assert_eq!(held.passings.of(Point::CleanedUncommitted), 0, "it acted on what it saw before");
    assert_eq!(builds(&pair).await?, "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20");
    assert_eq!(pair.main.scalar::<i64>("SELECT resurrected_total FROM lfk.cursor WHERE settle IS NULL").await?, 1);
    Ok(())
}

/// Time itself is what is tested here, and only here.
async fn passes(db: &TestDb, time: Duration) -> Result<()> {
    let until: f64 =
        db.scalar(&format!("SELECT extract(epoch FROM clock_timestamp())::float8 + {}", time.as_secs_f64())).await?;
    let over = format!("SELECT extract(epoch FROM clock_timestamp()) > {until}");
    eventually("time passes", SOON, async || db.scalar::<bool>(&over).await).await
}

#[tokio::test(flavor = "multi_thread")]
async fn l13_a_delete_that_is_sent_after_its_deadline_does_nothing() -> Result<()> {
    let pair = projects_and_builds().await?;
    pair.main.execute("DELETE FROM projects WHERE id = 7").await?;
    // The application's pool for the children's database has one connection, and something else takes it for 5 s just after
    // the re-check. The worker could not notice: it is waiting.
    let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(SOON).connect_lazy(&pair.ci.url)?;
    let taken = Arc::new(Mutex::new(None));
    let take = {
        let (pool, taken) = (pool.clone(), taken.clone());
        move || {
            let (pool, taken) = (pool.clone(), taken.clone());
            async move {
                *taken.lock().await = Some(pool.acquire().await?);
                Ok(())
            }
        }
    };
    let hook = At::the(Point::Rechecked, 1, take);
    let main = Database::connect_lazy("main", &pair.main.url)?;
    let databases = [main, Database::new("ci", pool)];
    let builder = databases.into_iter().fold(Engine::builder(), lfk_core::Builder::database);
    let engine = builder.definitions([definition()?]).hook(hook.clone()).build()?;
    let worked = Task::spawn(async move { engine.run_once().await });

    eventually("the connection is taken", SOON, async || Ok(taken.lock().await.is_some())).await?;
    pair.main.execute("INSERT INTO projects VALUES (7)").await?;
    passes(&pair.ci, Duration::from_millis(5_050)).await?;
    taken.lock().await.take();

    assert_eq!(worked.end().await??, Drained::Drained);
    assert_eq!(hook.passings.of(Point::CleanedUncommitted), 1, "the statement was sent, once");
    assert_eq!(builds(&pair).await?, "1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20");
    assert_eq!(pair.main.scalar::<i64>("SELECT resurrected_total FROM lfk.cursor WHERE settle IS NULL").await?, 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn l13_a_worker_holds_its_share_of_the_definitions_and_leaves_the_rest() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let five = || -> Result<Vec<LooseForeignKey>> {
        (1..=5).map(|n| Ok(definition()?.named(format!("number {n}")))).collect()
    };
    active(&pair, five()?).await?;
    pair.main.execute("DELETE FROM projects WHERE id <= 5").await?;
    let seen = "INSERT INTO lfk.worker (id, host, pid, version, abilities, seen_at) VALUES \
                (gen_random_uuid(), 'elsewhere', 1, '0', '{}', clock_timestamp() + interval '1 hour')";
    // Another worker is alive and does nothing: the first takes three of five, ceil(5 / 2).
    pair.main.execute(seen).await?;
    let (one, two) = (Gate::at(Point::Claimed, 0), Gate::at(Point::Claimed, 0));
    let first = hooked(&pair, five()?, one.clone())?.start();
    let held = "SELECT count(*) FROM lfk.cursor WHERE settle IS NULL AND lease_until > clock_timestamp()";
    eventually("the first holds three", SOON, async || Ok(pair.main.scalar::<i64>(held).await? == 3)).await?;
    // The second takes two of five, ceil(5 / 3). Had the first taken a fourth meanwhile, only one would be left.
    let second = hooked(&pair, five()?, two.clone())?.start();
    eventually("all five are held", SOON, async || Ok(pair.main.scalar::<i64>(held).await? == 5)).await?;
    let shares = "SELECT count(*) FROM lfk.cursor WHERE settle IS NULL GROUP BY owner ORDER BY 1";
    assert_eq!(pair.main.rows(shares).await?, [[Some("2".to_owned())], [Some("3".to_owned())]]);

    one.open();
    two.open();
    drain(&pair.engine(five()?)?).await?;
    assert_eq!(builds(&pair).await?, "6 7 8 9 10 11 12 13 14 15 16 17 18 19 20");
    first.shutdown().await?;
    second.shutdown().await?;
    Ok(())
}

const THREE_DEFINITIONS: &str = r#"
    [[loose_foreign_key]]
    parent = "main:public.projects(id)"
    child = "ci:public.builds(project_id)"
    on_delete = "delete"
    [[loose_foreign_key]]
    parent = "main:public.projects(id)"
    child = "ci:public.notes(project_id)"
    on_delete = "set_null"
    [[loose_foreign_key]]
    parent = "main:public.projects(id)"
    child = "ci:public.jobs(project_id)"
    on_delete = { set = { status = 4 } }
"#;
/// Every change of a note or a job is written down.
const THREE_TABLES: &str = "
    CREATE TABLE builds (id bigint PRIMARY KEY, project_id bigint);
    CREATE TABLE notes (id bigint PRIMARY KEY, project_id bigint);
    CREATE TABLE jobs (id bigint PRIMARY KEY, project_id bigint, status int);
    CREATE TABLE changes (what text, id bigint); GRANT INSERT ON changes TO PUBLIC;
    CREATE FUNCTION write_down() RETURNS trigger LANGUAGE plpgsql AS
      'BEGIN INSERT INTO public.changes VALUES (TG_TABLE_NAME, OLD.id); RETURN NULL; END';
    CREATE TRIGGER w AFTER UPDATE ON notes FOR EACH ROW EXECUTE FUNCTION write_down();
    CREATE TRIGGER w AFTER UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION write_down();
    CREATE INDEX ON builds (project_id);
    CREATE INDEX ON notes (project_id);
    CREATE INDEX ON jobs (project_id);
    INSERT INTO builds SELECT n, n FROM generate_series(1, 400) n;
    INSERT INTO notes SELECT n, n FROM generate_series(1, 400) n;
    INSERT INTO jobs SELECT n, n, 0 FROM generate_series(1, 400) n";

#[tokio::test(flavor = "multi_thread")]
async fn l13_two_engines_and_two_daemons_do_everything_once() -> Result<()> {
    let projects = "CREATE TABLE projects (id bigint PRIMARY KEY); INSERT INTO projects SELECT generate_series(1, 400)";
    let pair = Pair::with_schema(projects, THREE_TABLES).await?;
    let four = OnDelete::Set(vec![(Ident::new("status")?, Some("4".to_owned()))]);
    let definitions = [
        definition()?,
        loose("projects(id)", "notes(project_id)", OnDelete::SetNull)?,
        loose("projects(id)", "jobs(project_id)", four)?,
    ];
    let finisher = active(&pair, definitions.clone()).await?;
    let engines = [pair.engine(definitions.clone())?.start(), pair.engine(definitions)?.start()];
    let cli = Cli::for_pair(&pair, THREE_DEFINITIONS)?;
    let mut daemons = vec![cli.spawn(["run"])?, cli.spawn(["run"])?];
    let alive = "SELECT count(*) FROM lfk.worker WHERE seen_at > clock_timestamp() - interval '12 s'";
    eventually("all four are at work", SOON, async || Ok(pair.main.scalar::<i64>(alive).await? == 4)).await?;

    // Odd ones are deleted, ten at a time; one even one of each twenty is away for a moment.
    for first in (1..400).step_by(20) {
        let odd = format!("DELETE FROM projects WHERE id % 2 = 1 AND id BETWEEN {first} AND {first} + 19");
        let moved = format!("DELETE FROM projects WHERE id = {first} + 1; INSERT INTO projects VALUES ({first} + 1)");
        tokio::try_join!(pair.main.execute(&odd), pair.main.execute(&moved))?;
    }
    drain(&finisher).await?;

    for engine in engines {
        engine.shutdown().await?;
    }
    for daemon in &mut daemons {
        daemon.signal(Signal::Terminate)?;
    }
    for daemon in daemons {
        daemon.wait(SOON).await?.expect(0);
    }
    let even = "SELECT n, n FROM generate_series(2, 400, 2) n";
    assert_eq!(pair.ci.rows("SELECT * FROM builds ORDER BY id").await?, pair.ci.rows(even).await?);
    let nulled = "SELECT n, CASE WHEN n % 2 = 0 THEN n END FROM generate_series(1, 400) n";
    assert_eq!(pair.ci.rows("SELECT * FROM notes ORDER BY id").await?, pair.ci.rows(nulled).await?);
    let marked = "SELECT n, n, CASE WHEN n % 2 = 0 THEN 0 ELSE 4 END FROM generate_series(1, 400) n";
    assert_eq!(pair.ci.rows("SELECT * FROM jobs ORDER BY id").await?, pair.ci.rows(marked).await?);
    let once = "SELECT w, n FROM unnest(ARRAY['jobs', 'notes']) w, generate_series(1, 400, 2) n ORDER BY 1, 2";
    assert_eq!(pair.ci.rows("SELECT * FROM changes ORDER BY 1, 2").await?, pair.ci.rows(once).await?, "changed twice");
    assert_eq!(pair.main.scalar::<i64>("SELECT count(*) FROM lfk.worker").await?, 0, "who stopped takes its row along");
    Ok(())
}
