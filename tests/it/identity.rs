//! Another database behind a url: refused before the first change.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use lfk_core::{Error, ErrorKind, LooseForeignKey, OnDelete, State};
use lfk_tests::scenario::{PATIENCE, activate, active, as_installer, drain, loose};
use lfk_tests::{Cli, Cluster, Pair, Role, TestDb, engine, eventually, pg_bin};
use sqlx::{Connection as _, PgConnection};

use crate::fault_hook::SOON;

const PROJECTS: &str =
    "CREATE TABLE projects (id bigint PRIMARY KEY); INSERT INTO projects SELECT generate_series(1, 9)";
const BUILDS: &str = "
    CREATE TABLE builds (id bigint PRIMARY KEY, project_id bigint);
    CREATE INDEX ON builds (project_id);
    INSERT INTO builds SELECT n * 10, n FROM generate_series(1, 9) n";
const DEFINITION: &str = r#"
    [[loose_foreign_key]]
    parent = "main:public.projects(id)"
    child = "ci:public.builds(project_id)"
    on_delete = "delete"
"#;

fn definition() -> Result<LooseForeignKey> {
    loose("projects(id)", "builds(project_id)", OnDelete::Delete)
}

/// A pair that has worked, and has something to do.
async fn at_work() -> Result<Pair> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [definition()?]).await?;
    works(&pair).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    drop(engine);
    Ok(pair)
}

/// Deletes project 9 once more and drains. A single turn must be enough to tell a copy from before it.
async fn works(pair: &Pair) -> Result<()> {
    pair.main
        .execute("INSERT INTO projects VALUES (9) ON CONFLICT DO NOTHING; DELETE FROM projects WHERE id = 9")
        .await?;
    pair.ci.execute("INSERT INTO builds VALUES (90, 9) ON CONFLICT DO NOTHING").await?;
    drain(&pair.engine([definition()?])?).await
}

/// Every row of every table, those of lfk among them, with the transaction that wrote it.
async fn everything(url: &str) -> Result<String> {
    const ALL: &str = "
        SELECT string_agg(format('%s: %s', c.oid::regclass, query_to_xml(
                 format('SELECT t.xmin, t::text FROM ONLY %s t ORDER BY t.ctid', c.oid::regclass), true, false, '')), '' ORDER BY c.oid)
          FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
         WHERE c.relkind = 'r' AND n.nspname IN ('public', 'lfk')";
    let mut there = PgConnection::connect(url).await?;
    let all: String = sqlx::query_scalar(ALL).fetch_one(&mut there).await?;
    there.close().await?;
    ensure!(all.contains("lfk.identity") && all.contains("lfk.peer"), "tables are missing: {all}");
    Ok(all)
}

/// What `run --until-drained` refuses with, over these two.
async fn refused(main: &str, ci: &str) -> Result<Error> {
    let engine = engine(&[("main", main), ("ci", ci)], [definition()?])?;
    let ended = tokio::time::timeout(SOON, engine.run_until_drained(None)).await.context("it hangs")?;
    let error = ended.err().context("it was not refused")?;
    ensure!(error.kind == ErrorKind::Refused, "{:?}: {error}", error.kind);
    let hint = error.hint.as_deref().unwrap_or_default();
    ensure!(hint.contains("lfk uninstall") && hint.contains("lfk install"), "no remedy: {hint}");
    // Nor does once.
    let once = engine.run_once().await.err().context("once was not refused")?;
    ensure!(once.kind == ErrorKind::Refused, "{once}");
    Ok(error)
}

/// It is refused, and in the database that is the wrong one not a row changes, in whichever table.
async fn refused_untouched(main: &str, ci: &str, wrong: &str) -> Result<Error> {
    let before = everything(wrong).await?;
    let error = refused(main, ci).await?;
    ensure!(everything(wrong).await? == before, "something was changed");
    Ok(error)
}

/// A copy in the same server. Nobody may be connected to the original meanwhile.
async fn clone_of(db: &TestDb, role: Role) -> Result<TestDb> {
    let (clone, admin) = (TestDb::new(role).await?, TestDb::new(role).await?);
    admin.execute(&format!("DROP DATABASE {}", clone.name)).await?;
    eventually("it is copied", SOON, async || {
        let kill = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{}'", db.name);
        admin.rows(&kill).await?;
        let copy = format!("CREATE DATABASE {} TEMPLATE {} STRATEGY = file_copy", clone.name, db.name);
        Ok(admin.execute(&copy).await.is_ok())
    })
    .await?;
    Ok(clone)
}

#[tokio::test(flavor = "multi_thread")]
async fn l18_staging_behind_the_url_of_production_is_refused() -> Result<()> {
    let (production, staging) = tokio::try_join!(at_work(), at_work())?;
    for (main, ci, foreign) in
        [(&production.main, &staging.ci, &staging.ci), (&staging.main, &production.ci, &production.ci)]
    {
        let error = refused_untouched(&main.url, &ci.url, &foreign.url).await?;
        assert_eq!(error.database.as_deref(), Some("ci"));
        assert_eq!(error.definition.as_deref(), Some("builds.project_id"));
        let crossed = Pair { main: main.clone(), ci: ci.clone() };
        let cli = Cli::for_pair(&crossed, DEFINITION)?;
        for command in [vec!["run", "--until-drained"], vec!["run", "--once"], vec!["install"]] {
            let said = cli.run(&command).await?.expect(4).stderr;
            assert!(said.contains("database \"ci\"") && said.contains("lfk uninstall"), "{command:?}: {said}");
        }
        assert_eq!(ci.scalar::<i64>("SELECT count(*) FROM builds").await?, 8, "something was deleted");
    }
    // Each goes on as it was.
    for pair in [production, staging] {
        drain(&pair.engine([definition()?])?).await?;
        assert_eq!(pair.ci.scalar::<i64>("SELECT count(*) FROM builds").await?, 7);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn l18_a_clone_of_the_childrens_database_is_refused() -> Result<()> {
    let pair = at_work().await?;
    let clone = clone_of(&pair.ci, Role::Ci).await?;
    let error = refused_untouched(&pair.main.url, &clone.url, &clone.url).await?;
    assert!(error.message.contains("copy") && error.database.as_deref() == Some("ci"), "{error}");
    drain(&pair.engine([definition()?])?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn l18_a_clone_of_the_parents_database_is_refused() -> Result<()> {
    let pair = at_work().await?;
    let clone = clone_of(&pair.main, Role::Main).await?;
    let children = everything(&pair.ci.url).await?;
    let error = refused_untouched(&clone.url, &pair.ci.url, &clone.url).await?;
    assert!(error.message.contains("copy") && error.database.as_deref() == Some("main"), "{error}");
    // Also when nothing is left in its log, so that there would be nothing to do.
    clone.execute("UPDATE lfk.cursor SET prev = pg_current_snapshot()").await?;
    refused_untouched(&clone.url, &pair.ci.url, &clone.url).await?;
    // Nor may it be commanded.
    let before = everything(&clone.url).await?;
    let engine = engine(&[("main", &clone.url), ("ci", &pair.ci.url)], [definition()?])?;
    let pause = engine.set_state(&["builds.project_id".to_owned()], State::Paused, false).await;
    assert_eq!(pause.unwrap_err().kind, ErrorKind::Refused);
    assert_eq!(engine.set_stopped(true).await.unwrap_err().kind, ErrorKind::Refused);
    assert_eq!(engine.install().await.unwrap_err().kind, ErrorKind::Refused);
    assert_eq!(everything(&clone.url).await?, before);

    assert_eq!(everything(&pair.ci.url).await?, children, "the children's database was changed");
    drain(&pair.engine([definition()?])?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn l18_a_dump_that_is_restored_elsewhere_is_refused() -> Result<()> {
    let pair = at_work().await?;
    let restored = restore(&pair.main).await?;
    let children = everything(&pair.ci.url).await?;
    refused_untouched(&restored.url, &pair.ci.url, &restored.url).await?;

    // Even where somebody has written a new identity row by hand: the cursor tells.
    restored
        .execute(
            "UPDATE lfk.identity SET stamp = pg_current_xact_id(),
                    database_oid = (SELECT oid FROM pg_database WHERE datname = current_database())",
        )
        .await?;
    let (cursor, definition) = ("SELECT xmin, * FROM lfk.cursor", "SELECT xmin, * FROM lfk.definition");
    let before = (restored.rows(cursor).await?, restored.rows(definition).await?);
    let error = refused(&restored.url, &pair.ci.url).await?;
    assert!(error.message.contains("cursor"), "{error}");
    let after = (restored.rows(cursor).await?, restored.rows(definition).await?);
    assert_eq!(after, before, "something was written, if only a note");
    assert_eq!(everything(&pair.ci.url).await?, children, "the children's database was changed");
    drain(&pair.engine([self::definition()?])?).await
}

/// Dumps a database and restores it into another server. Where the tools are missing, a clone whose rows are all written
/// anew stands for it: their xmin is then as far from what they say as after a restore.
async fn restore(db: &TestDb) -> Result<TestDb> {
    let bin = pg_bin()?.folder;
    let (dump, psql) = (bin.join("pg_dump"), bin.join("psql"));
    if dump.exists() && psql.exists() {
        let empty = TestDb::new(Role::Ci).await?;
        tokio::task::block_in_place(|| pipe(&dump, &db.url, &psql, &empty.url))?;
        return Ok(empty);
    }
    let clone = clone_of(db, Role::Main).await?;
    clone.execute("UPDATE lfk.identity SET id = id; UPDATE lfk.cursor SET token = token").await?;
    Ok(clone)
}

fn pipe(dump: &Path, from: &str, psql: &Path, to: &str) -> Result<()> {
    let mut dump = Command::new(dump).arg(from).stdout(Stdio::piped()).spawn()?;
    let text = dump.stdout.take().context("it has no output")?;
    let arguments = ["-X", "-q", "-v", "ON_ERROR_STOP=1", "-d", to];
    let read = Command::new(psql).args(arguments).stdin(text).stdout(Stdio::null()).status()?;
    ensure!(read.success(), "psql failed");
    ensure!(dump.wait()?.success(), "pg_dump failed");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn l18_an_older_copy_of_either_server_no_longer_agrees_with_the_other() -> Result<()> {
    let (main, ci) = tokio::try_join!(Cluster::start(), Cluster::start())?;
    let pair = Pair::on(&main, &ci).await?;
    pair.main.execute(PROJECTS).await?;
    pair.ci.execute(BUILDS).await?;
    active(&pair, [definition()?]).await?;
    works(&pair).await?;
    tokio::try_join!(main.stop_fast(), ci.stop_fast())?;
    let (old_main, old_ci) = tokio::try_join!(main.start_copy(), ci.start_copy())?;
    tokio::try_join!(main.restart(), ci.restart())?;
    let (old_main, old_ci) = (old_main.url(&pair.main.name), old_ci.url(&pair.ci.name));
    works(&pair).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;

    let error = refused_untouched(&pair.main.url, &old_ci, &old_ci).await?;
    assert!(error.message.contains("no longer agree"), "{error}");
    let children = everything(&pair.ci.url).await?;
    // Something that the old copy would do: there, 2 goes.
    let mut there = PgConnection::connect(&old_main).await?;
    sqlx::raw_sql("DELETE FROM projects WHERE id = 2").execute(&mut there).await?;
    let error = refused(&old_main, &pair.ci.url).await?;
    assert!(error.message.contains("no longer agree"), "{error}");
    assert_eq!(everything(&pair.ci.url).await?, children, "the children's database was changed");
    // The pair itself goes on.
    drain(&pair.engine([definition()?])?).await?;
    assert_eq!(pair.ci.scalar::<i64>("SELECT count(*) FROM builds WHERE project_id = 1").await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn l18_one_database_under_both_names_is_fine_and_a_copy_under_one_of_them_is_not() -> Result<()> {
    let cluster = Cluster::start().await?;
    let both = TestDb::on(&cluster).await?;
    both.execute(&format!("{PROJECTS}; {BUILDS}")).await?;
    let pair = Pair { main: both.clone(), ci: both.clone() };
    active(&pair, [definition()?]).await?;
    works(&pair).await?;

    // Its physical copy has the same identity, the same oid, and rows that it might have written itself.
    cluster.stop_fast().await?;
    let copy = cluster.start_copy().await?;
    cluster.restart().await?;
    both.execute("DELETE FROM projects WHERE id = 1").await?;
    let copied = copy.url(&both.name);
    let error = refused_untouched(&both.url, &copied, &copied).await?;
    assert!(error.message.contains("copy of the other"), "{error}");

    drain(&pair.engine([definition()?])?).await?;
    assert_eq!(both.scalar::<i64>("SELECT count(*) FROM builds WHERE project_id = 1").await?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn l18_a_refused_copy_works_once_it_is_uninstalled_and_installed() -> Result<()> {
    let pair = at_work().await?;
    let (main, ci) = (clone_of(&pair.main, Role::Main).await?, clone_of(&pair.ci, Role::Ci).await?);
    let staging = Pair { main, ci };
    refused(&staging.main.url, &staging.ci.url).await?;
    let production = (everything(&pair.main.url).await?, everything(&pair.ci.url).await?);

    let cli = Cli::for_pair(&staging, DEFINITION)?;
    cli.run(["install"]).await?.expect(4);
    cli.run(["uninstall", "--all", "--yes"]).await?.expect(0);
    cli.run(["install"]).await?.expect(0);
    cli.run(["activate", "--all"]).await?.expect(0);
    staging.main.execute("DELETE FROM projects WHERE id = 2").await?;
    cli.run(["run", "--until-drained"]).await?.expect(0);
    // What was deleted before is not in the new log; 9 was cleaned long before.
    let builds = "SELECT string_agg(project_id::text, ' ' ORDER BY id) FROM builds";
    assert_eq!(staging.ci.scalar::<String>(builds).await?, "1 3 4 5 6 7 8");
    assert_eq!((everything(&pair.main.url).await?, everything(&pair.ci.url).await?), production);
    drain(&pair.engine([definition()?])?).await?;
    assert_eq!(pair.ci.scalar::<String>(builds).await?, "2 3 4 5 6 7 8");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn l18_uninstalling_a_copy_leaves_the_other_side_to_the_original() -> Result<()> {
    let pair = at_work().await?;
    let clone = clone_of(&pair.main, Role::Main).await?;
    let children = everything(&pair.ci.url).await?;
    let engine = engine(&[("main", &clone.url), ("ci", &pair.ci.url)], [definition()?])?;
    engine.uninstall(&["builds.project_id".to_owned()]).await?;
    assert_eq!(clone.scalar::<i64>("SELECT count(*) FROM pg_namespace WHERE nspname = 'lfk'").await?, 0);
    assert_eq!(everything(&pair.ci.url).await?, children, "the children's database was changed");
    drain(&pair.engine([definition()?])?).await
}

#[tokio::test(flavor = "multi_thread")]
async fn l18_another_definition_than_the_installed_one_is_refused_until_it_is_installed() -> Result<()> {
    let pair = at_work().await?;
    let another = || loose("projects(id)", "builds(project_id)", OnDelete::SetNull);
    let changed = pair.engine([another()?])?;
    let before = pair.ci.rows("SELECT * FROM builds ORDER BY id").await?;
    let error = changed.run_until_drained(Some(PATIENCE)).await.err().context("it was not refused")?;
    assert_eq!(error.kind, ErrorKind::Refused);
    assert!(error.hint.as_deref().is_some_and(|hint| hint.contains("lfk install")), "{error:?}");
    assert_eq!(pair.ci.rows("SELECT * FROM builds ORDER BY id").await?, before);

    let installed = as_installer(&changed)?.install().await?;
    assert_eq!((installed[0].outcome, installed[0].state), ("changed", State::Observe));
    drain(&changed).await?;
    assert_eq!(pair.ci.rows("SELECT * FROM builds ORDER BY id").await?, before, "observing changes nothing");
    activate(&changed).await?;
    drain(&changed).await?;
    let builds = "SELECT id, project_id FROM builds ORDER BY id";
    let nulled = "SELECT n * 10, CASE WHEN n > 1 THEN n END FROM generate_series(1, 8) n";
    assert_eq!(pair.ci.rows(builds).await?, pair.ci.rows(nulled).await?);
    Ok(())
}
