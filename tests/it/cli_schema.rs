//! What install and uninstall make and remove, printed or done.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lfk_core::{ErrorKind, LooseForeignKey, OnDelete};
use lfk_tests::scenario::{PATIENCE, activate, active_as_owner, as_installer, drain, loose};
use lfk_tests::{Cli, Pair, TestDb};

use crate::clean_support::builder;
use crate::fault_hook::Task;

const PROJECTS: &str = "
    CREATE TABLE projects (id bigint PRIMARY KEY, name text);
    CREATE TABLE \"odd Names\" (\"the Key\" text PRIMARY KEY) PARTITION BY HASH (\"the Key\");
    CREATE TABLE odd_0 PARTITION OF \"odd Names\" FOR VALUES WITH (MODULUS 1, REMAINDER 0);
    INSERT INTO projects VALUES (1, 'one'), (2, 'two')";
const BUILDS: &str = "
    CREATE TABLE builds (id bigint PRIMARY KEY, project_id bigint, odd text);
    CREATE INDEX ON builds (project_id);
    CREATE INDEX ON builds (odd);
    INSERT INTO builds VALUES (10, 1), (20, 2)";
/// In the order of the parents' names, as they are in the printed script: both number the tables alike then.
const DEFINITIONS: &str = r#"
[[loose_foreign_key]]
parent = 'main:public."odd Names"("the Key")'
child = "ci:public.builds(odd)"
on_delete = "set_null"
[[loose_foreign_key]]
parent = "main:public.projects(id)"
child = "ci:public.builds(project_id)"
on_delete = "delete"
"#;

/// Every object that there is outside the catalogs, with what it is made of: triggers, functions, tables, columns, rights.
const OBJECTS: &str = "
    SELECT 'table', c.oid::regclass::text, c.relkind::text, coalesce(c.relacl::text, '') || coalesce(array_to_string(c.reloptions, ','), ''),
           (SELECT string_agg(format('%s %s %s %s', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
                   pg_get_expr(d.adbin, d.adrelid)), ', ' ORDER BY a.attnum)
              FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped)
      FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname IN ('public', 'lfk')
    UNION ALL
    SELECT 'function', p.oid::regprocedure::text, p.prosecdef::text, coalesce(p.proacl::text, ''), pg_get_functiondef(p.oid)
      FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE n.nspname IN ('public', 'lfk')
    UNION ALL
    SELECT 'trigger', t.tgname::text, t.tgrelid::regclass::text, t.tgenabled::text, pg_get_triggerdef(t.oid)
      FROM pg_trigger t WHERE NOT t.tgisinternal
    UNION ALL
    SELECT 'constraint', k.conname::text, k.conrelid::regclass::text, '', pg_get_constraintdef(k.oid)
      FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace WHERE n.nspname IN ('public', 'lfk')
    UNION ALL
    SELECT 'schema', n.nspname::text, coalesce(n.nspacl::text, ''), '', '' FROM pg_namespace n WHERE n.nspname NOT LIKE 'pg\\_t%'
    ORDER BY 1, 2, 3";

/// What there is in both databases, a line an object.
async fn objects(pair: &Pair) -> Result<BTreeSet<String>> {
    let mut all = BTreeSet::new();
    for db in [&pair.main, &pair.ci] {
        let name = if db.name == pair.main.name { "main" } else { "ci" };
        all.extend(db.rows(OBJECTS).await?.into_iter().map(|row| format!("{name}: {row:?}")));
    }
    Ok(all)
}

/// Says in what two sets of objects differ, not what they have in common.
#[track_caller]
fn same(found: &BTreeSet<String>, wanted: &BTreeSet<String>, what: &str) {
    let only = |one: &BTreeSet<String>, other| one.difference(other).cloned().collect::<Vec<_>>().join("\n");
    assert!(found == wanted, "{what}\nfound:\n{}\nwanted:\n{}", only(found, wanted), only(wanted, found));
}

/// The printed script of one database: the script has a section for each.
fn section(script: &str, database: &str) -> Result<String> {
    let mut sections =
        script.split("-- lfk: ").filter(|section| section.lines().next().is_some_and(|l| l.ends_with(database)));
    let section = sections.next().with_context(|| format!("no section of {database}: {script}"))?;
    ensure!(sections.next().is_none(), "two sections of {database}");
    Ok(format!("-- lfk: {section}"))
}

fn definition() -> Result<LooseForeignKey> {
    loose("projects(id)", "builds(project_id)", OnDelete::Delete)
}

#[tokio::test]
async fn f8_the_printed_schema_makes_and_removes_what_install_and_uninstall_do() -> Result<()> {
    // As the owner of everything: every right is compared, and those that the two roles have bear their names.
    let (by_hand, by_us) = tokio::try_join!(Pair::with_schema(PROJECTS, BUILDS), Pair::with_schema(PROJECTS, BUILDS))?;
    let bare = objects(&by_us).await?;
    let cli = Cli::for_pair(&by_us, DEFINITIONS)?;
    cli.run(["install"]).await?.expect(0);
    let installed = objects(&by_us).await?;
    assert_ne!(installed, bare);

    let printed = cli.run(["schema", "sql"]).await?.expect(0).stdout;
    for (db, name) in [(&by_hand.main, "main"), (&by_hand.ci, "ci")] {
        let section = section(&printed, name)?;
        // Every statement may be repeated.
        db.execute(&section).await?;
        db.execute(&section).await?;
    }
    same(&objects(&by_hand).await?, &installed, "the printed schema is another one");

    // Then it only takes the rows that nobody can know beforehand, and what was deleted meanwhile is not lost.
    by_hand.main.execute("DELETE FROM projects WHERE id = 1").await?;
    let adopted = Cli::for_pair(&by_hand, DEFINITIONS)?;
    adopted.run(["install"]).await?.expect(0);
    same(&objects(&by_hand).await?, &installed, "install has changed what was there");
    adopted.run(["activate", "--all"]).await?.expect(0);
    adopted.run(["run", "--until-drained"]).await?.expect(0);
    assert_eq!(by_hand.ci.rows("SELECT id, project_id FROM builds").await?, [[Some("20".into()), Some("2".into())]]);

    let down = cli.run(["schema", "sql", "--down"]).await?.expect(0).stdout;
    by_hand.main.execute(&section(&down, "main")?).await?;
    by_hand.ci.execute(&section(&down, "ci")?).await?;
    same(&objects(&by_hand).await?, &bare, "something is left");
    cli.run(["uninstall", "--all", "--yes"]).await?.expect(0);
    same(&objects(&by_us).await?, &bare, "something is left");
    Ok(())
}

#[tokio::test]
async fn f7_a_second_install_takes_no_lock_where_nothing_changed() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let cli = Cli::for_pair(&pair, DEFINITIONS)?;
    cli.install(&pair).await?;
    let written = "SELECT xmin, ctid, * FROM lfk.definition; ";
    let rows = async |db: &TestDb| db.rows(written).await;
    let before = (rows(&pair.main).await?, objects(&pair).await?);
    // Nobody else may hold any lock on these tables meanwhile but that of a reader.
    let (mut main, mut ci) = (pair.main.connect().await?, pair.ci.connect().await?);
    sqlx::raw_sql("BEGIN; LOCK TABLE projects, \"odd Names\", odd_0, lfk.key_log IN EXCLUSIVE MODE")
        .execute(&mut main)
        .await?;
    sqlx::raw_sql("BEGIN; LOCK TABLE builds IN EXCLUSIVE MODE").execute(&mut ci).await?;
    let begun = std::time::Instant::now();
    let outcome = cli.run(["install", "--format", "json"]).await?.expect(0).json()?;
    assert!(begun.elapsed() < Duration::from_secs(10), "it has waited for the locks");
    for definition in outcome["loose_foreign_keys"].as_array().context("no list")? {
        assert_eq!((&definition["outcome"], &definition["triggers_created"]), (&"unchanged".into(), &0.into()));
    }
    drop((main, ci));
    assert_eq!((rows(&pair.main).await?, objects(&pair).await?), before);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f7_an_install_that_meets_a_lock_gives_up_names_it_and_is_finished_by_the_next() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let cli = Cli::for_pair(&pair, DEFINITIONS)?;
    let mut holder = pair.main.connect().await?;
    // A trigger needs SHARE ROW EXCLUSIVE, which a long transaction that has only written a row keeps out.
    sqlx::raw_sql("BEGIN; INSERT INTO projects VALUES (3, 'three')").execute(&mut holder).await?;
    let odd = loose("\"odd Names\"(\"the Key\")", "builds(odd)", OnDelete::SetNull)?;
    cli.let_by_owners(&pair).await?;
    let impatient = builder(&pair)?.patience(Duration::from_secs(3)).definitions([odd, definition()?]).build()?;
    let impatient = as_installer(&impatient)?;
    let waiting = Task::spawn(async move { impatient.install().await });
    // Meanwhile no write of the application queues behind it for long.
    for _ in 0..200 {
        let begun = std::time::Instant::now();
        pair.main.execute("UPDATE projects SET name = name WHERE id = 2").await?;
        assert!(begun.elapsed() < Duration::from_secs(2), "a write has waited {:?}", begun.elapsed());
    }
    let refused = waiting.end().await?.err().context("it was installed")?;
    assert_eq!(refused.kind, ErrorKind::TimedOut, "{refused}");
    assert!(refused.message.contains("projects") && refused.message.contains("locked for 3 s"), "{refused}");
    assert!(refused.hint.is_some(), "{refused}");
    let known = "SELECT string_agg(name, ' ') FROM lfk.definition";
    assert_eq!(pair.main.scalar::<String>(known).await?, "builds.odd", "the other one counts as installed");

    sqlx::raw_sql("COMMIT").execute(&mut holder).await?;
    cli.install(&pair).await?;
    cli.run(["activate", "--all"]).await?.expect(0);
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    cli.run(["run", "--until-drained"]).await?.expect(0);
    assert_eq!(pair.ci.scalar::<String>("SELECT string_agg(id::text, ' ') FROM builds").await?, "20");
    Ok(())
}

#[tokio::test]
async fn l05_uninstalling_leaves_the_definitions_of_another_app_alone() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    // As the owner of everything: every right that is left at the end is compared with those of an application without lfk.
    let mine = active_as_owner(&pair, [definition()?]).await?;
    let theirs = || -> Result<LooseForeignKey> { Ok(definition()?.named("theirs")) };
    let other_table = || loose("\"odd Names\"(\"the Key\")", "builds(odd)", OnDelete::SetNull);
    let other = pair.engine([theirs()?, other_table()?])?;
    other.install().await?;
    activate(&other).await?;
    let known = "SELECT string_agg(name || ' ' || state, ', ' ORDER BY name) FROM lfk.definition";

    assert_eq!(mine.uninstall(&["builds.project_id".to_owned()]).await?, ["builds.project_id"]);
    assert_eq!(pair.main.scalar::<String>(known).await?, "builds.odd active, theirs active");
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    drain(&other).await?;
    assert_eq!(pair.ci.scalar::<String>("SELECT string_agg(id::text, ' ') FROM builds").await?, "20");
    // Twice is fine; and what is not installed any more is said.
    assert!(mine.uninstall(&["builds.project_id".to_owned()]).await?.is_empty());
    let error = mine.run_until_drained(Some(PATIENCE)).await.err().context("it was done")?;
    assert_eq!(error.kind, ErrorKind::NotInstalled, "{error}");

    let both = ["theirs".to_owned(), "builds.odd".to_owned()];
    assert_eq!(other.uninstall(&both).await?.len(), 2);
    let bare = Pair::with_schema(PROJECTS, BUILDS).await?;
    same(&objects(&pair).await?, &objects(&bare).await?, "something is left");
    // The application goes on without us.
    pair.main.execute("DELETE FROM projects").await?;
    Ok(())
}
