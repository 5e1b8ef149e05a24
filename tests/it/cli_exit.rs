//! Exit codes, and what is said with them: the place, the remedy, never a password or a key.

use std::time::Duration;

use anyhow::{Context as _, Result};
use lfk_tests::{Cli, Mode, Outcome, Pair, Proxy, Role, Signal, eventually};

use crate::fault_hook::SOON;

const PROJECTS: &str =
    "CREATE TABLE projects (id bigint PRIMARY KEY); INSERT INTO projects VALUES (1), (2), (987654321)";
const BUILDS: &str = "
    CREATE TABLE builds (id bigint PRIMARY KEY, project_id bigint);
    CREATE INDEX ON builds (project_id);
    INSERT INTO builds VALUES (10, 1), (20, 2), (30, 987654321), (40, NULL)";
const DEFINITION: &str = r#"
[[loose_foreign_key]]
parent = "main:public.projects(id)"
child = "ci:public.builds(project_id)"
on_delete = "delete"
"#;
const BUILD_IDS: &str = "SELECT string_agg(id::text, ' ' ORDER BY id) FROM builds";
/// What only lfk makes, in any database.
const LFK_OBJECTS: &str = "SELECT count(*) FROM pg_namespace WHERE nspname = 'lfk'";

async fn projects_and_builds() -> Result<Pair> {
    Pair::with_schema(PROJECTS, BUILDS).await
}

async fn active(pair: &Pair) -> Result<Cli> {
    let cli = Cli::for_pair(pair, DEFINITION)?;
    cli.install(pair).await?;
    cli.run(["activate", "--all"]).await?.expect(0);
    Ok(cli)
}

/// One complaint with its place, and what to do about it.
#[track_caller]
fn says(outcome: &Outcome, place: &str, hint: &str) {
    let said = &outcome.stderr;
    assert!(said.lines().any(|line| line.starts_with("error: ") && line.contains(place)), "not of {place}: {said}");
    assert!(said.lines().any(|line| line.starts_with("hint: ") && line.contains(hint)), "no {hint}: {said}");
}

/// No command has left anything in either database.
async fn untouched(pair: &Pair) -> Result<()> {
    assert_eq!(pair.main.scalar::<i64>(LFK_OBJECTS).await?, 0, "something was installed");
    assert_eq!(pair.ci.scalar::<i64>(LFK_OBJECTS).await?, 0, "something was installed");
    assert_eq!(pair.ci.scalar::<String>(BUILD_IDS).await?, "10 20 30 40");
    Ok(())
}

#[tokio::test]
async fn f7_the_way_from_nothing_to_clean_ends_with_0_at_each_step() -> Result<()> {
    let pair = projects_and_builds().await?;
    let cli = Cli::for_pair(&pair, DEFINITION)?;
    cli.run(["check-config"]).await?.expect(0);
    cli.run(["plan"]).await?.expect(0);
    untouched(&pair).await?;
    let installed = cli.install(&pair).await?.json()?;
    assert_eq!(installed["loose_foreign_keys"][0]["state"], "observe");
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    cli.run(["run", "--until-drained"]).await?.expect(0);
    assert_eq!(pair.ci.scalar::<String>(BUILD_IDS).await?, "10 20 30 40", "what is new only observes");
    let changed = cli.run(["activate", "builds.project_id", "--format", "json"]).await?.expect(0).json()?;
    assert_eq!(changed["loose_foreign_keys"][0]["rewound"], true);
    let drained = cli.run(["run", "--until-drained", "--format", "json"]).await?.expect(0).json()?;
    assert_eq!(drained["result"], "drained");
    assert_eq!(pair.ci.scalar::<String>(BUILD_IDS).await?, "20 30 40");
    pair.main.execute("DELETE FROM projects WHERE id = 2").await?;
    cli.run(["run", "--once"]).await?.expect(0);
    assert_eq!(pair.ci.scalar::<String>(BUILD_IDS).await?, "30 40");
    cli.run(["status"]).await?.expect(0);
    cli.run(["uninstall", "--all", "--yes"]).await?.expect(0);
    assert_eq!(pair.main.scalar::<i64>(LFK_OBJECTS).await?, 0);
    Ok(())
}

/// The pair behind a proxy that refuses connections to the children's database, whose URL holds a password.
async fn half_away(pair: &Pair) -> Result<(Proxy, Cli)> {
    let proxy = Proxy::in_front_of(&Role::Ci.cluster().await?).await?;
    proxy.set(Mode::Refuse).await?;
    let url = Cli::url(&proxy.url(&pair.ci.name).replace("postgres@", "postgres:tell-nobody@"));
    let main = Cli::url(&pair.main.url);
    let cli = Cli::new(&format!(
        "format = 1\n[database.main]\nurl = \"{main}\"\n[database.ci]\nurl = \"{url}\"\n{DEFINITION}"
    ))?;
    Ok((proxy, cli))
}

#[track_caller]
fn says_which_is_away(outcome: &Outcome) {
    assert!(outcome.stderr.contains("database \"ci\"") && outcome.stderr.contains("reach"), "{outcome:?}");
    assert!(!format!("{outcome:?}").contains("tell-nobody"), "{outcome:?}");
}

#[tokio::test]
async fn f7_an_unreachable_database_is_1_before_any_change() -> Result<()> {
    let pair = projects_and_builds().await?;
    let (_proxy, cli) = half_away(&pair).await?;
    let commands = [vec!["plan"], vec!["install"], vec!["activate", "--all"]];
    for outcome in futures::future::try_join_all(commands.iter().map(|args| cli.run(args))).await? {
        says_which_is_away(&outcome.expect(1));
    }
    untouched(&pair).await
}

#[tokio::test]
async fn l06_a_run_whose_time_is_up_with_a_database_away_is_1_and_the_next_goes_on() -> Result<()> {
    let pair = projects_and_builds().await?;
    active(&pair).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    let (proxy, cli) = half_away(&pair).await?;
    let cli = cli.as_installed(&pair);
    says_which_is_away(&cli.run(["run", "--until-drained", "--timeout", "1s"]).await?.expect(1));
    assert_eq!(pair.ci.scalar::<String>(BUILD_IDS).await?, "10 20 30 40");
    proxy.set(Mode::Pass).await?;
    cli.run(["run", "--until-drained"]).await?.expect(0);
    assert_eq!(pair.ci.scalar::<String>(BUILD_IDS).await?, "20 30 40");
    Ok(())
}

#[tokio::test]
async fn f7_a_malformed_url_is_2_with_its_line_and_without_its_password() -> Result<()> {
    for url in [
        "mysql://lfk:tell-nobody@localhost/ci",
        "postgres://lfk:tell-nobody@localhost:port/ci",
        "lfk:tell-nobody@localhost",
        "postgres://lfk:tell-nobody@[::1/ci",
    ] {
        let config = format!("format = 1\n[database.main]\nurl = \"{url}\"\n{}", DEFINITION.replace("ci:", "main:"));
        let cli = Cli::new(&config)?;
        for command in ["check-config", "plan", "status", "run"] {
            let outcome = cli.run([command, "-vv"]).await?.expect(2);
            assert!(outcome.stderr.contains("lfk.toml:3:"), "no place: {outcome:?}");
            says(&outcome, "main", "postgres://user@host:port/database");
            assert!(!format!("{outcome:?}").contains("tell-nobody"), "{outcome:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn f7_wrong_usage_and_a_wrong_file_are_2() -> Result<()> {
    let pair = projects_and_builds().await?;
    let cli = active(&pair).await?;
    cli.run(["activate"]).await?.expect(2);
    cli.run(["run", "--until-drained", "--timeout", "soon"]).await?.expect(2);
    says(&cli.run(["pause", "build.project_id"]).await?.expect(2), "build.project_id", "builds.project_id");
    says(&cli.run(["uninstall", "--all"]).await?.expect(2), "no terminal", "--yes");
    let twice = format!("{DEFINITION}{DEFINITION}");
    says(&Cli::for_pair(&pair, &twice)?.run(["plan"]).await?.expect(2), "lfk.toml:", "name = ");
    let other = DEFINITION.replace("ci:", "cl:");
    says(&Cli::for_pair(&pair, &other)?.run(["plan"]).await?.expect(2), "lfk.toml:", "ci");
    let unknown = format!("{DEFINITION}on_deleet = \"delete\"");
    says(&Cli::for_pair(&pair, &unknown)?.run(["plan"]).await?.expect(2), "lfk.toml:", "on_delete");
    std::fs::remove_file(cli.config())?;
    says(&cli.run(["status"]).await?.expect(2), "lfk.toml", "LFK_CONFIG");
    // None of them has changed anything.
    assert_eq!(pair.main.scalar::<String>("SELECT state FROM lfk.definition").await?, "active");
    Ok(())
}

#[tokio::test]
async fn f7_a_variable_that_is_missing_or_empty_is_2_and_named() -> Result<()> {
    let config =
        format!("format = 1\n[database.main]\nurl = \"${{SHOP_URL}}\"\n{}", DEFINITION.replace("ci:", "main:"));
    let outcome = Cli::new(&config)?.run(["plan"]).await?.expect(2);
    assert!(outcome.stderr.contains("SHOP_URL") && outcome.stderr.contains("lfk.toml:3:"), "{outcome:?}");
    let outcome = Cli::new(&config)?.env("SHOP_URL", "").run(["plan"]).await?.expect(2);
    assert!(outcome.stderr.contains("SHOP_URL") && outcome.stderr.contains("empty"), "{outcome:?}");
    Ok(())
}

#[tokio::test]
async fn f7_a_quarantined_key_is_3() -> Result<()> {
    let pair = projects_and_builds().await?;
    let cli = active(&pair).await?;
    let refuse = "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
                  IF OLD.id = 30 THEN RAISE EXCEPTION 'not this one'; END IF; RETURN OLD; END $$; \
                  CREATE TRIGGER r BEFORE DELETE ON builds FOR EACH ROW EXECUTE FUNCTION refuse()";
    pair.ci.execute(refuse).await?;
    pair.main.execute("DELETE FROM projects").await?;
    cli.run(["run", "--once"]).await?.expect(0);
    assert_eq!(pair.ci.scalar::<String>(BUILD_IDS).await?, "30 40", "the others are done");
    // Its last attempt but one; and no wait before it.
    pair.main.execute("UPDATE lfk.retry SET attempts = 7, not_before = '-infinity'").await?;
    let outcome = cli.run(["run", "--until-drained", "--format", "json"]).await?.expect(3);
    assert_eq!(outcome.json()?["result"], "needs_attention");
    assert_eq!(outcome.json()?["loose_foreign_keys"][0]["quarantined"], 1);
    cli.run(["run", "--once"]).await?.expect(3);
    let said = cli.run(["run", "--until-drained", "-vv"]).await?.expect(3);
    assert!(said.stdout.contains("builds.project_id: 1 quarantined"), "{said:?}");
    assert!(!format!("{said:?}").contains("987654321"), "a key was logged: {said:?}");
    Ok(())
}

#[tokio::test]
async fn f7_what_plan_refuses_is_4_with_the_statement_that_helps() -> Result<()> {
    let pair = projects_and_builds().await?;
    pair.ci.execute("DROP INDEX builds_project_id_idx").await?;
    let cli = Cli::for_pair(&pair, DEFINITION)?;
    let planned = cli.run(["plan", "--format", "json"]).await?.expect(4);
    assert_eq!(planned.json()?["refused"], true);
    says(&cli.run(["install"]).await?.expect(4), "builds.project_id", "CREATE INDEX");
    untouched(&pair).await?;
    let missing = Cli::for_pair(&pair, &DEFINITION.replace("builds(", "bilds("))?;
    says(&missing.run(["install"]).await?.expect(4), "bilds", "");
    untouched(&pair).await?;

    // An index that is lost later forbids what it forbade at first.
    pair.ci.execute("CREATE INDEX builds_project_id_idx ON builds (project_id)").await?;
    active(&pair).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    pair.ci.execute("DROP INDEX builds_project_id_idx").await?;
    let cli = cli.as_installed(&pair);
    for command in [vec!["activate", "--all"], vec!["run", "--until-drained"], vec!["run", "--once"], vec!["run"]] {
        says(&cli.run(&command).await?.expect(4), "builds.project_id", "CREATE INDEX");
    }
    assert_eq!(pair.ci.scalar::<String>(BUILD_IDS).await?, "10 20 30 40");
    Ok(())
}

#[tokio::test]
async fn f7_what_is_not_installed_is_5() -> Result<()> {
    let pair = projects_and_builds().await?;
    let cli = Cli::for_pair(&pair, DEFINITION)?;
    for command in [
        vec!["status"],
        vec!["activate", "--all"],
        vec!["pause", "--all"],
        vec!["stop", "--all"],
        vec!["run", "--until-drained"],
        vec!["run", "--once"],
    ] {
        says(&cli.run(&command).await?.expect(5), "database \"main\"", "lfk install");
        untouched(&pair).await?;
    }
    // Installed, but the definition is another name's.
    active(&pair).await?;
    let renamed = Cli::for_pair(&pair, &DEFINITION.replace("on_delete", "name = \"renamed\"\non_delete"))?;
    says(&renamed.run(["run", "--until-drained"]).await?.expect(5), "main", "lfk install");
    says(&renamed.run(["activate", "--all"]).await?.expect(5), "renamed", "lfk install");
    Ok(())
}

/// A child that the application has locked, so that there is always something left to do.
async fn never_drained(pair: &Pair) -> Result<sqlx::PgConnection> {
    let mut holder = pair.ci.connect().await?;
    sqlx::raw_sql("BEGIN; SELECT FROM builds WHERE id = 10 FOR UPDATE").execute(&mut holder).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    Ok(holder)
}

#[tokio::test]
async fn f7_a_timeout_is_6_and_the_same_command_goes_on() -> Result<()> {
    let pair = projects_and_builds().await?;
    let cli = active(&pair).await?;
    let holder = never_drained(&pair).await?;
    let outcome = cli.run(["run", "--until-drained", "--timeout", "1s", "--format", "json"]).await?.expect(6);
    assert_eq!(outcome.json()?["result"], "timed_out");
    assert_eq!(outcome.json()?["loose_foreign_keys"][0]["pending_keys"], 1);
    assert_eq!(pair.ci.scalar::<String>(BUILD_IDS).await?, "10 20 30 40");
    drop(holder);
    cli.run(["run", "--until-drained"]).await?.expect(0);
    assert_eq!(pair.ci.scalar::<String>(BUILD_IDS).await?, "20 30 40");
    Ok(())
}

#[tokio::test]
async fn f7_an_interrupted_run_is_130_and_the_same_command_goes_on() -> Result<()> {
    let pair = projects_and_builds().await?;
    let cli = active(&pair).await?;
    let holder = never_drained(&pair).await?;
    let mut running = cli.spawn(["run", "--until-drained"])?;
    let aside = "SELECT count(*) FROM lfk.retry";
    eventually("it is at work", SOON, async || Ok(pair.main.scalar::<i64>(aside).await? == 1)).await?;
    running.signal(Signal::Interrupt)?;
    let outcome = running.wait(Duration::from_secs(10)).await.context("SIGINT does not end it")?.expect(130);
    assert!(outcome.stdout.contains("stopped") && outcome.stdout.contains("goes on from here"), "{outcome:?}");
    let leased = "SELECT count(*) FROM lfk.cursor WHERE owner IS NOT NULL";
    assert_eq!(pair.main.scalar::<i64>(leased).await?, 0, "it has not given its lease back");
    drop(holder);
    cli.run(["run", "--until-drained"]).await?.expect(0);
    assert_eq!(pair.ci.scalar::<String>(BUILD_IDS).await?, "20 30 40");
    Ok(())
}
