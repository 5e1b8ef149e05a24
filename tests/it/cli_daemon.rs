//! The daemon: how it starts, stops and obeys, and what it says.

use anyhow::{Context as _, Result};
use lfk_tests::{Cli, Mode, Pair, Proxy, Role, Running, Signal, TestDb, eventually};

use crate::fault_hook::SOON;

const PROJECTS: &str =
    "CREATE TABLE projects (id bigint PRIMARY KEY); INSERT INTO projects SELECT generate_series(1, 9)";
const BUILDS: &str = "
    CREATE TABLE builds (id bigint PRIMARY KEY, project_id bigint);
    CREATE INDEX ON builds (project_id);
    INSERT INTO builds SELECT n, n FROM generate_series(1, 9) n";
const DEFINITION: &str = r#"
[[loose_foreign_key]]
parent = "main:public.projects(id)"
child = "ci:public.builds(project_id)"
on_delete = "delete"
"#;
const BUILD_IDS: &str = "SELECT string_agg(id::text, ' ' ORDER BY id) FROM builds";

async fn installed() -> Result<(Pair, Cli)> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let cli = Cli::for_pair(&pair, DEFINITION)?;
    cli.install(&pair).await?;
    Ok((pair, cli))
}

async fn becomes(pair: &Pair, daemon: &Running, builds: &str) -> Result<()> {
    let done = eventually(builds, SOON, async || Ok(pair.ci.scalar::<String>(BUILD_IDS).await? == builds));
    done.await.with_context(|| daemon.stderr())
}

/// Waits until the daemon has looked at the log again: its probe is the only thing that a paused definition shows.
async fn looks_again(pair: &Pair, daemon: &Running) -> Result<()> {
    // A definition of the same log that nothing keeps from working tells when the log was looked at.
    pair.main.execute("DELETE FROM canaries").await?;
    let done = eventually("the canary is cleaned", SOON, async || {
        Ok(pair.ci.scalar::<i64>("SELECT count(*) FROM nests").await? == 0)
    });
    done.await.with_context(|| daemon.stderr())?;
    pair.main.execute("INSERT INTO canaries VALUES (1)").await?;
    pair.ci.execute("INSERT INTO nests VALUES (1)").await?;
    Ok(())
}

#[tokio::test]
async fn f7_sigterm_ends_the_daemon_with_0_and_gives_everything_back() -> Result<()> {
    let (pair, cli) = installed().await?;
    cli.run(["activate", "--all"]).await?.expect(0);
    let mut daemon = cli.spawn(["run"])?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    becomes(&pair, &daemon, "2 3 4 5 6 7 8 9").await?;
    daemon.signal(Signal::Terminate)?;
    let outcome = daemon.wait(SOON).await?.expect(0);
    assert!(outcome.stdout.is_empty() && outcome.stderr.contains("SIGTERM"), "logs go to stderr: {outcome:?}");
    let left = "SELECT (SELECT count(*) FROM lfk.worker) + (SELECT count(*) FROM lfk.cursor WHERE owner IS NOT NULL)";
    assert_eq!(pair.main.scalar::<i64>(left).await?, 0, "a lease or a worker is left");
    Ok(())
}

#[tokio::test]
async fn l06_a_daemon_starts_while_a_database_is_down_and_drains_when_it_comes() -> Result<()> {
    tokio::try_join!(starts_without(Role::Main), starts_without(Role::Ci))?;
    Ok(())
}

async fn starts_without(away: Role) -> Result<()> {
    let (pair, cli) = installed().await?;
    cli.run(["activate", "--all"]).await?.expect(0);
    let proxy = Proxy::in_front_of(&away.cluster().await?).await?;
    proxy.set(Mode::Refuse).await?;
    let url = |role: Role, db: &TestDb| Cli::url(&if role == away { proxy.url(&db.name) } else { db.url.clone() });
    let (main, ci) = (url(Role::Main, &pair.main), url(Role::Ci, &pair.ci));
    let cli = Cli::new(&format!(
        "format = 1\n[database.main]\nurl = \"{main}\"\n[database.ci]\nurl = \"{ci}\"\n{DEFINITION}"
    ))?
    .as_installed(&pair);
    let mut daemon = cli.spawn(["run"])?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    let places = [format!("database=\"{}\"", away.name()), format!("database \"{}\"", away.name())];
    let noticed = eventually("it says which is away", SOON, async || {
        let said = daemon.stderr().replace('\\', "");
        Ok(places.iter().any(|place| said.contains(place)))
    });
    noticed.await.with_context(|| daemon.stderr())?;
    proxy.set(Mode::Pass).await?;
    becomes(&pair, &daemon, "2 3 4 5 6 7 8 9").await?;
    daemon.signal(Signal::Terminate)?;
    daemon.wait(SOON).await?.expect(0);
    Ok(())
}

#[tokio::test]
async fn l16_a_running_daemon_obeys_pause_observe_activate_stop_and_start() -> Result<()> {
    let pair = Pair::with_schema(
        &format!("{PROJECTS}; CREATE TABLE canaries (id bigint PRIMARY KEY); INSERT INTO canaries VALUES (1)"),
        &format!("{BUILDS}; CREATE TABLE nests (canary_id bigint); CREATE INDEX ON nests (canary_id); INSERT INTO nests VALUES (1)"),
    )
    .await?;
    let canaries = DEFINITION.replace("projects", "canaries").replace("builds(project_id)", "nests(canary_id)");
    let cli = Cli::for_pair(&pair, &format!("{DEFINITION}{canaries}"))?;
    cli.install(&pair).await?;
    cli.run(["activate", "--all"]).await?.expect(0);
    let daemon = cli.spawn(["run"])?;
    let delete = async |id: i64| pair.main.execute(&format!("DELETE FROM projects WHERE id = {id}")).await;
    delete(1).await?;
    becomes(&pair, &daemon, "2 3 4 5 6 7 8 9").await?;

    cli.run(["pause", "builds.project_id"]).await?.expect(0);
    delete(2).await?;
    looks_again(&pair, &daemon).await?;
    looks_again(&pair, &daemon).await?;
    assert_eq!(pair.ci.scalar::<String>(BUILD_IDS).await?, "2 3 4 5 6 7 8 9", "it is paused");
    cli.run(["activate", "builds.project_id"]).await?.expect(0);
    becomes(&pair, &daemon, "3 4 5 6 7 8 9").await?;

    cli.run(["observe", "builds.project_id"]).await?.expect(0);
    delete(3).await?;
    let observed = "SELECT observed_keys FROM lfk.cursor WHERE consumer = 'builds.project_id'";
    eventually("it is counted", SOON, async || Ok(pair.main.scalar::<i64>(observed).await? == 1)).await?;
    looks_again(&pair, &daemon).await?;
    assert_eq!(pair.ci.scalar::<String>(BUILD_IDS).await?, "3 4 5 6 7 8 9", "it only observes");
    cli.run(["activate", "builds.project_id"]).await?.expect(0);
    becomes(&pair, &daemon, "4 5 6 7 8 9").await?;

    cli.run(["stop", "--all"]).await?.expect(0);
    delete(4).await?;
    let status = cli.run(["status", "--format", "json"]).await?.expect(0).json()?;
    assert_eq!(status["loose_foreign_keys"][0]["condition"], "stopped");
    // Stopped means everybody: a bounded run does not work either, and says so.
    cli.run(["run", "--until-drained", "--timeout", "2s"]).await?.expect(3);
    assert_eq!(pair.ci.scalar::<String>(BUILD_IDS).await?, "4 5 6 7 8 9", "it is stopped");
    cli.run(["start", "--all"]).await?.expect(0);
    becomes(&pair, &daemon, "5 6 7 8 9").await
}

#[tokio::test]
async fn s01_status_says_what_is_pending_how_old_it_is_and_who_works() -> Result<()> {
    let (pair, cli) = installed().await?;
    cli.run(["activate", "--all"]).await?.expect(0);
    let mut holder = pair.ci.connect().await?;
    sqlx::raw_sql("BEGIN; SELECT FROM builds WHERE id = 1 FOR UPDATE").execute(&mut holder).await?;
    pair.main.execute("DELETE FROM projects WHERE id IN (1, 2, 3)").await?;
    let before = cli.run(["status", "--format", "json"]).await?.expect(0).json()?;
    let key = before["loose_foreign_keys"][0].as_object().context("no object")?;
    for field in [
        "name",
        "state",
        "pending_keys",
        "oldest_pending_seconds",
        "keys_per_second",
        "rows_affected_total",
        "observed_keys",
        "quarantined",
        "note",
    ] {
        assert!(key.contains_key(field), "{field} is missing: {before}");
    }
    assert_eq!((&key["name"], &key["state"]), (&"builds.project_id".into(), &"active".into()));
    assert_eq!((&key["pending_keys"], &key["rows_affected_total"]), (&3.into(), &0.into()));
    assert!(key["oldest_pending_seconds"].as_f64().is_some_and(|age| age > 0.0) && key["note"].is_null(), "{before}");
    assert_eq!(before["workers"], serde_json::json!([]));

    let daemon = cli.spawn(["run"])?;
    let aside = "SELECT count(*) FROM lfk.retry";
    let done = eventually("one is set aside", SOON, async || Ok(pair.main.scalar::<i64>(aside).await? == 1));
    done.await.with_context(|| daemon.stderr())?;
    let during = cli.run(["status", "--format", "json"]).await?.expect(0).json()?;
    let key = &during["loose_foreign_keys"][0];
    assert_eq!((&key["pending_keys"], &key["rows_affected_total"]), (&1.into(), &2.into()), "{during}");
    assert_eq!(during["workers"][0]["pid"], daemon.pid());
    assert_eq!(during["workers"][0]["database"], "main");
    let table = cli.run(["status"]).await?.expect(0).stdout;
    assert!(table.contains("builds.project_id") && table.contains("active"), "{table}");
    Ok(())
}

#[tokio::test]
async fn f7_logs_never_hold_a_key_or_a_password() -> Result<()> {
    const PARENTS: &str = "CREATE TABLE projects (id text PRIMARY KEY); INSERT INTO projects VALUES ('secret-key-one'), ('secret-key-two')";
    const CHILDREN: &str = "
        CREATE TABLE builds (id bigint PRIMARY KEY, project_id text NOT NULL);
        CREATE INDEX ON builds (project_id);
        INSERT INTO builds VALUES (1, 'secret-key-one'), (2, 'secret-key-two');
        CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
          IF OLD.id = 1 THEN RAISE EXCEPTION USING ERRCODE = '23503', MESSAGE = 'there are jobs',
             DETAIL = 'Key (project_id)=(' || OLD.project_id || ') is still referenced'; END IF;
          RETURN OLD; END $$;
        CREATE TRIGGER r BEFORE DELETE ON builds FOR EACH ROW EXECUTE FUNCTION refuse()";
    let pair = Pair::with_schema(PARENTS, CHILDREN).await?;
    let hide = |url: &str| Cli::url(&url.replace("postgres@", "postgres:secret-word@"));
    let (main, ci) = (hide(&pair.main.url), hide(&pair.ci.url));
    let config = format!("format = 1\n[database.main]\nurl = \"{main}\"\n[database.ci]\nurl = \"{ci}\"\n{DEFINITION}");
    let cli = Cli::new(&config)?.env("RUST_LOG", "trace,sqlx=warn");
    cli.install(&pair).await?;
    cli.run(["activate", "--all"]).await?.expect(0);
    let mut daemon = cli.spawn(["run", "-vv"])?;
    pair.main.execute("DELETE FROM projects").await?;
    let tried = "SELECT coalesce(max(attempts), 0) >= 2 FROM lfk.retry";
    let done = eventually("it has failed twice", SOON, async || pair.main.scalar::<bool>(tried).await);
    done.await.with_context(|| daemon.stderr())?;
    daemon.signal(Signal::Terminate)?;
    let outcome = daemon.wait(SOON).await?.expect(0);
    assert!(outcome.stderr.contains("keys set aside"), "it has not logged at that level: {outcome:?}");
    let status = cli.run(["status"]).await?.expect(0);
    let run = cli.run(["run", "--until-drained", "--timeout", "1s", "-vv"]).await?.expect(6);
    let said = format!("{outcome:?} {status:?} {run:?}");
    assert!(!said.contains("secret-"), "{said}");
    let kept: String = pair.main.scalar("SELECT string_agg(error, ' ') FROM lfk.retry").await?;
    assert!(kept.contains("there are jobs") && !kept.contains("secret-"), "{kept}");
    Ok(())
}
