//! The harness itself: what the other tests rely on.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result};
use lfk_tests::{Cli, Cluster, Mode, Pair, Proxy, Redis, Role, TestDb, eventually, is_running};
use sqlx::{Connection as _, PgConnection};

const SOON: Duration = Duration::from_secs(60);

#[tokio::test]
async fn a_cluster_starts_whoever_runs_the_tests() -> Result<()> {
    let cluster = Cluster::start().await?;
    let db = TestDb::on(&cluster).await?;
    let version: i32 = db.scalar("SELECT current_setting('server_version_num')::int / 10000").await?;
    assert_eq!(u32::try_from(version)?, cluster.major());
    assert_eq!(db.rows("SHOW synchronous_commit").await?, [[Some("on".to_owned())]]);
    Ok(())
}

#[tokio::test]
async fn every_commit_survives_kill_9() -> Result<()> {
    let cluster = Cluster::start().await?;
    let db = TestDb::on(&cluster).await?;
    db.execute("CREATE TABLE kept AS SELECT 42 AS answer").await?;
    let mut open = db.connect().await?;
    sqlx::raw_sql("BEGIN; INSERT INTO kept VALUES (43)").execute(&mut open).await?;
    let port = cluster.port();

    cluster.kill9().await?;
    assert!(cluster.pid().is_none());
    assert!(PgConnection::connect(&db.url).await.is_err());
    cluster.restart().await?;

    assert_eq!(cluster.port(), port);
    assert_eq!(db.scalar::<i32>("SELECT sum(answer)::int FROM kept").await?, 42);
    assert!(cluster.log().contains("automatic recovery in progress"), "{}", cluster.log());
    Ok(())
}

#[tokio::test]
async fn a_copy_of_a_stopped_cluster_goes_its_own_way() -> Result<()> {
    let cluster = Cluster::start().await?;
    let db = TestDb::on(&cluster).await?;
    db.execute("CREATE TABLE copied AS SELECT 1 AS n").await?;
    assert!(cluster.start_copy().await.is_err(), "a running server must not be copied");
    cluster.stop_fast().await?;
    let copy = cluster.start_copy().await?;
    cluster.restart().await?;
    db.execute("INSERT INTO copied VALUES (2)").await?;
    let mut there = PgConnection::connect(&copy.url(&db.name)).await?;
    let rows: i64 = sqlx::query_scalar("SELECT count(*) FROM copied").fetch_one(&mut there).await?;
    assert_eq!(rows, 1);
    Ok(())
}

#[tokio::test]
async fn each_test_has_databases_of_its_own_on_two_servers() -> Result<()> {
    let (one, two) = (Pair::new().await?, Pair::new().await?);
    assert_ne!(one.main.name, two.main.name);
    let identity = "SELECT system_identifier::text FROM pg_control_system()";
    let main: String = one.main.scalar(identity).await?;
    assert_eq!(main, two.main.scalar::<String>(identity).await?, "the server is shared");
    assert_ne!(main, one.ci.scalar::<String>(identity).await?, "main and ci are two systems");

    let single = Pair::single().await?;
    assert_eq!(single.main.url, single.ci.url);
    assert_eq!(one.engine([])?.databases().len(), 2);
    Ok(())
}

#[tokio::test]
async fn a_schema_is_made_once_and_copied_for_each_test() -> Result<()> {
    let schema = "CREATE TABLE projects (id bigint PRIMARY KEY); INSERT INTO projects SELECT generate_series(1, 3)";
    let (one, two) = tokio::join!(TestDb::with_schema(Role::Main, schema), TestDb::with_schema(Role::Main, schema));
    let (one, two) = (one?, two?);
    assert_eq!(one.execute("DELETE FROM projects WHERE id < 3").await?, 2);
    assert_eq!(two.rows("SELECT id, NULL::date FROM projects WHERE id = 3").await?, [[Some("3".to_owned()), None]]);
    assert_eq!(two.scalar::<i64>("SELECT count(*) FROM projects").await?, 3);
    Ok(())
}

#[tokio::test]
async fn a_database_goes_with_its_last_handle() -> Result<()> {
    let (watcher, db) = (TestDb::new(Role::Main).await?, TestDb::new(Role::Main).await?);
    let exists = format!("SELECT EXISTS (SELECT FROM pg_database WHERE datname = '{}')", db.name);
    db.execute("SELECT").await?;
    drop(db.clone());
    assert!(watcher.scalar::<bool>(&exists).await?);
    drop(db);
    eventually("the database is dropped", SOON, async || Ok(!watcher.scalar::<bool>(&exists).await?)).await
}

#[tokio::test]
async fn a_commit_whose_reply_is_lost_is_a_commit() -> Result<()> {
    let cluster = Cluster::start().await?;
    let db = TestDb::on(&cluster).await?;
    db.execute("CREATE TABLE committed (n int)").await?;
    let proxy = Proxy::in_front_of(&cluster).await?;
    let mut client = PgConnection::connect(&proxy.url(&db.name)).await?;

    proxy.set(Mode::LoseNextCommit).await?;
    let mut transaction = client.begin().await?;
    sqlx::query("INSERT INTO committed VALUES (1)").execute(&mut *transaction).await?;
    assert!(transaction.commit().await.is_err(), "the client cannot know");

    assert_eq!(proxy.lost(), 1);
    assert_eq!(proxy.mode(), Mode::Pass);
    assert_eq!(db.scalar::<i64>("SELECT count(*) FROM committed").await?, 1);
    Ok(())
}

#[tokio::test]
async fn lost_replies_stay_lost_and_requests_are_carried_out() -> Result<()> {
    let cluster = Cluster::start().await?;
    let db = TestDb::on(&cluster).await?;
    db.execute("CREATE TABLE asked (n int)").await?;
    let proxy = Proxy::in_front_of(&cluster).await?;
    let mut client = PgConnection::connect(&proxy.url(&db.name)).await?;

    proxy.set(Mode::LoseReplies).await?;
    let asking = tokio::spawn(async move { sqlx::raw_sql("INSERT INTO asked VALUES (1)").execute(&mut client).await });
    eventually("it is carried out", SOON, async || Ok(db.scalar::<i64>("SELECT count(*) FROM asked").await? == 1))
        .await?;
    eventually("its reply is lost", SOON, async || Ok(proxy.lost() == 1)).await?;
    assert!(!asking.is_finished());
    proxy.set(Mode::Pass).await?;
    assert!(asking.await?.is_err());
    Ok(())
}

#[tokio::test]
async fn a_proxy_refuses_stalls_and_delays() -> Result<()> {
    let cluster = Cluster::start().await?;
    let proxy = Proxy::in_front_of(&cluster).await?;
    let url = proxy.url("postgres");
    let mut client = PgConnection::connect(&url).await?;

    proxy.set(Mode::Refuse).await?;
    assert!(client.ping().await.is_err());
    let refused = PgConnection::connect(&url).await.err().context("it was taken")?;
    assert!(refused.to_string().contains("refused"), "{refused}");

    proxy.set(Mode::Pass).await?;
    let mut client = PgConnection::connect(&url).await?;
    client.ping().await?;

    proxy.set(Mode::Stall).await?;
    let waiting = tokio::spawn(async move { client.ping().await.map(|()| client) });
    assert!(!waiting.is_finished());
    proxy.set(Mode::Pass).await?;
    let mut client = waiting.await??;

    let delay = Duration::from_millis(20);
    proxy.set(Mode::Delay(delay)).await?;
    let begun = std::time::Instant::now();
    client.ping().await?;
    assert!(begun.elapsed() >= 2 * delay);

    proxy.cut().await?;
    assert!(client.ping().await.is_err());
    assert_eq!(proxy.accepted(), 2);
    Ok(())
}

#[tokio::test]
async fn a_dropped_cluster_leaves_nothing() -> Result<()> {
    let (running, killed) = (Cluster::start().await?, Cluster::start().await?);
    let homes = [running.home().to_owned(), killed.home().to_owned()];
    let segments = [segment(&homes[0])?, segment(&homes[1])?];
    let pid = running.pid().context("it does not run")?;
    assert!(segments.iter().all(|id| segment_exists(id)));
    killed.kill9().await?;
    drop(killed);
    drop(running);
    assert!(!homes.iter().any(|home| home.exists()));
    assert!(!is_running(pid));
    assert!(!segments.iter().any(|id| segment_exists(id)));
    let redis = Redis::start(&[]).await?;
    let (home, pid) = (redis.home().to_owned(), redis.pid());
    assert!(home.exists() && is_running(pid));
    drop(redis);
    assert!(!home.exists() && !is_running(pid));
    Ok(())
}

/// Set for a copy of this test binary that holds a cluster until it is killed.
const HOLD: &str = "LFK_TESTS_HOLD_A_CLUSTER";

#[tokio::test]
async fn a_killed_test_process_leaves_nothing() -> Result<()> {
    if std::env::var_os(HOLD).is_some() {
        return hold_a_cluster().await;
    }
    let mut child = Command::new(std::env::current_exe()?)
        .args(["--exact", "harness::a_killed_test_process_leaves_nothing", "--nocapture", "--test-threads=1"])
        .env(HOLD, "1")
        .env_remove("LFK_KEEP")
        .stdout(Stdio::piped())
        .spawn()?;
    let output = BufReader::new(child.stdout.take().context("it has no output")?);
    let mut said =
        output.lines().map_while(Result::ok).filter_map(|line| line.strip_prefix("held: ").map(String::from));
    let (home, pid) = (PathBuf::from(said.next().context("no home")?), said.next().context("no pid")?.parse()?);
    let redis: u32 = said.next().context("no Redis")?.parse()?;
    let segment = segment(&home)?;
    assert!(home.exists() && is_running(pid) && is_running(redis));

    child.kill()?;
    child.wait()?;

    let run = home.parent().context("the home is a root")?;
    eventually("the folder of the run is removed", SOON, async || Ok(!run.exists())).await?;
    eventually("the servers end", SOON, async || Ok(!is_running(pid) && !is_running(redis))).await?;
    eventually("its shared memory is given back", SOON, async || Ok(!segment_exists(&segment))).await?;
    Ok(())
}

async fn hold_a_cluster() -> Result<()> {
    let cluster = Cluster::start().await?;
    let redis = Redis::start(&[]).await?;
    // A signal of the kernel alone would not end one that is stopped.
    let _frozen = redis.freeze()?;
    let pid = cluster.pid().context("it does not run")?;
    println!("\nheld: {}\nheld: {pid}\nheld: {}", cluster.home().display(), redis.pid());
    std::future::pending().await
}

/// The System V segment of a server, as /proc/sysvipc/shm names it.
fn segment(home: &Path) -> Result<String> {
    let file = std::fs::read_to_string(home.join("pg/postmaster.pid"))?;
    let line = file.lines().nth(6).context("no segment")?;
    Ok(line.split_whitespace().nth(1).context("no segment")?.to_owned())
}

fn segment_exists(id: &str) -> bool {
    let all = std::fs::read_to_string("/proc/sysvipc/shm").unwrap_or_default();
    all.lines().any(|line| line.split_whitespace().nth(1) == Some(id))
}

#[tokio::test]
async fn the_binary_is_run_as_users_run_it() -> Result<()> {
    let cli = Cli::new("format = 1\n")?;
    let outcome = cli.run(["--version"]).await?.expect(0);
    assert!(outcome.stdout.starts_with("lfk "), "{outcome:?}");
    cli.run(["no-such-command"]).await?.expect(2);
    Ok(())
}
