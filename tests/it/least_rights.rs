//! Two roles with no more rights than `lfk grants` prints: one installs, one works. Neither owns a table of the application,
//! and nobody is a superuser.

use std::time::Duration;

use anyhow::{Context as _, Result};
use lfk_core::{Drained, Engine, ErrorKind, LooseForeignKey, OnDelete};
use lfk_sql::Ident;
use lfk_tests::scenario::{PATIENCE, activate, drain, loose};
use lfk_tests::{Cli, LeastRoles, Pair, TestDb, eventually, with_least_rights};

use crate::capture_support::lines;
use crate::clean_support::{ALL_BUILDS, BUILDS, PROJECTS, Place, builder, retries, status, table};
use crate::log_support::{RETENTION, let_pass, quiet_leaf, rows_in_leaf, trail, write_to_leaf};

fn builds(on_delete: OnDelete) -> Result<LooseForeignKey> {
    loose("projects(id)", "builds(project_id)", on_delete)
}

/// Installed by one role, activated and now to be run by the other.
async fn active(pair: &Pair, key: LooseForeignKey) -> Result<Engine> {
    let engine = with_least_rights(&pair.engine([key])?).await?;
    activate(&engine).await?;
    Ok(engine)
}

#[tokio::test]
async fn f07_every_action_works_with_the_least_rights() -> Result<()> {
    let four = OnDelete::Set(vec![(Ident::new("status")?, Some("4".to_owned()))]);
    for place in Place::ALL {
        for (action, rest) in [
            (OnDelete::Delete, &["(21,2,0)", "(31,3,)", "(90,,0)"][..]),
            (OnDelete::SetNull, &["(11,,0)", "(12,,4)", "(21,2,0)", "(31,3,)", "(90,,0)"]),
            (four.clone(), &["(11,1,4)", "(12,1,4)", "(21,2,0)", "(31,3,)", "(90,,0)"]),
        ] {
            let pair = place.pair(PROJECTS, BUILDS).await?;
            let engine = active(&pair, builds(action)?).await?;
            assert!(!engine.plan().await?.is_refused(), "who works may plan");
            pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
            drain(&engine).await?;
            assert_eq!(table(&pair.ci, "builds").await?, rest, "{place:?}");
            assert_eq!(table(&pair.ci, "bystanders").await?, ALL_BUILDS, "{place:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn f07_a_condition_and_a_composite_key_work_with_the_least_rights() -> Result<()> {
    for place in Place::ALL {
        let pair = place
            .pair(
                "CREATE TABLE posts (tenant int, id uuid, UNIQUE (tenant, id));
                 INSERT INTO posts VALUES (1, '00000000-0000-0000-0000-000000000001'), (2, '00000000-0000-0000-0000-000000000001')",
                "CREATE TABLE notes (id int PRIMARY KEY, kind text, tenant int, post_id uuid, secret text);
                 CREATE INDEX ON notes (tenant, post_id);
                 INSERT INTO notes SELECT n, CASE WHEN n < 3 THEN 'Post' ELSE 'Page' END, 1 + n % 2,
                        '00000000-0000-0000-0000-000000000001' FROM generate_series(1, 4) n",
            )
            .await?;
        let key = loose("posts(tenant, id)", "notes(tenant, post_id)", OnDelete::Delete)?;
        let engine = active(&pair, key.only_where("kind", "Post")?).await?;
        pair.main.execute("DELETE FROM posts WHERE tenant = 2").await?;
        drain(&engine).await?;
        assert_eq!(lines(&pair.ci, "SELECT id FROM notes ORDER BY id").await?, ["2", "3", "4"], "{place:?}");
    }
    Ok(())
}

/// Parents and children, each in partitions.
const PARTITIONED: [&str; 2] = [
    "CREATE TABLE projects (id bigint PRIMARY KEY) PARTITION BY RANGE (id);
     CREATE TABLE projects_0 PARTITION OF projects FOR VALUES FROM (0) TO (100);
     CREATE TABLE projects_100 PARTITION OF projects FOR VALUES FROM (100) TO (200);
     INSERT INTO projects VALUES (1), (2), (101), (102);",
    "CREATE TABLE builds (id int, project_id bigint) PARTITION BY RANGE (id);
     CREATE INDEX ON builds (project_id);
     CREATE TABLE builds_0 PARTITION OF builds FOR VALUES FROM (0) TO (100);
     CREATE TABLE builds_100 PARTITION OF builds FOR VALUES FROM (100) TO (300);
     INSERT INTO builds VALUES (1, 1), (2, 2), (101, 101), (102, 102), (201, 1), (202, 201);",
];

#[tokio::test]
async fn f07_partitioned_parents_and_children_work_with_the_least_rights() -> Result<()> {
    for place in Place::ALL {
        let pair = place.pair(PARTITIONED[0], PARTITIONED[1]).await?;
        let engine = active(&pair, builds(OnDelete::Delete)?).await?;
        pair.main.execute("DELETE FROM projects WHERE id = 1; DELETE FROM projects_100 WHERE id = 101").await?;
        drain(&engine).await?;
        let rest = lines(&pair.ci, "SELECT id FROM builds ORDER BY id").await?;
        assert_eq!(rest, ["2", "102", "202"], "{place:?}");
    }
    Ok(())
}

#[tokio::test]
async fn c03_a_new_partition_says_which_grant_it_lacks_and_is_covered_once_that_is_given() -> Result<()> {
    let pair = Pair::with_schema(PARTITIONED[0], PARTITIONED[1]).await?;
    let engine = active(&pair, builds(OnDelete::Delete)?.settle_after(Duration::ZERO)).await?;
    let roles = LeastRoles::of(&engine).await?;
    pair.main
        .execute("CREATE TABLE projects_200 PARTITION OF projects FOR VALUES FROM (200) TO (300); INSERT INTO projects VALUES (201)")
        .await?;
    // What is not covered is no reason not to work on the rest.
    drain(&engine).await?;
    let cover = format!("SET ROLE {}; SELECT relation, outcome, detail FROM lfk.cover(); RESET ROLE", roles.worker);
    let grant = format!("GRANT TRIGGER ON TABLE public.projects_200 TO {}", roles.installer);
    assert_eq!(lines(&pair.main, &cover).await?, [format!("public.projects_200|not_allowed|{grant}")]);
    pair.main.execute(&grant).await?;
    let running = engine.start();
    let triggers = "SELECT count(*) FROM pg_trigger WHERE tgrelid = 'projects_200'::regclass AND tgname LIKE 'lfk%'";
    eventually("the worker has it covered", PATIENCE, async || Ok(pair.main.scalar::<i64>(triggers).await? == 3))
        .await?;
    running.shutdown().await?;
    pair.main.execute("DELETE FROM projects_200").await?;
    drain(&engine).await?;
    assert_eq!(lines(&pair.ci, "SELECT id FROM builds WHERE project_id > 200").await?, [""; 0]);
    Ok(())
}

#[tokio::test]
async fn l12_a_chain_works_with_the_least_rights() -> Result<()> {
    let steps = "CREATE TABLE steps (id int PRIMARY KEY, build_id bigint); CREATE INDEX ON steps (build_id);
        INSERT INTO steps VALUES (1, 11), (2, 12), (3, 21);";
    let pair = Pair::with_schema(&format!("{PROJECTS} {steps}"), BUILDS).await?;
    let back = LooseForeignKey::new("ci:public.builds(id)", "main:public.steps(build_id)", OnDelete::Delete)?;
    let engine = with_least_rights(&pair.engine([builds(OnDelete::Delete)?, back])?).await?;
    activate(&engine).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.main, "steps").await?, ["(3,21)"]);
    Ok(())
}

#[tokio::test]
async fn l05_a_leaf_is_retired_with_the_least_rights_also_after_it_was_made_anew() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = builder(&pair)?.retention(RETENTION).definitions([builds(OnDelete::Delete)?]).build()?;
    let engine = with_least_rights(&engine).await?;
    activate(&engine).await?;
    let leaf = quiet_leaf(&pair.main).await?;
    // Somebody drops it, and lfk.cover makes it anew.
    pair.main.execute(&format!("DROP TABLE lfk.key_log_{leaf}; SELECT lfk.cover()")).await?;
    write_to_leaf(&pair.main, leaf).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    drain(&engine).await?;
    assert_eq!(rows_in_leaf(&pair.main, leaf).await?, 1);
    let_pass(&pair.main, "20 minutes").await?;
    trail(&engine, &pair.main).await?;
    drain(&engine).await?;
    assert_eq!(rows_in_leaf(&pair.main, leaf).await?, 0);
    Ok(())
}

#[tokio::test]
async fn c04_a_sweep_works_with_the_least_rights() -> Result<()> {
    for place in Place::ALL {
        let pair = place.pair(PROJECTS, BUILDS).await?;
        let at_once = builds(OnDelete::Delete)?.settle_after(Duration::ZERO);
        let engine = active(&pair, at_once).await?;
        pair.main.execute("TRUNCATE projects; INSERT INTO projects VALUES (2, 'two')").await?;
        drain(&engine).await?;
        assert_eq!(table(&pair.ci, "builds").await?, ["(21,2,0)", "(90,,0)"], "{place:?}");
    }
    Ok(())
}

#[tokio::test]
async fn l08_a_key_is_set_aside_quarantined_and_retried_with_the_least_rights() -> Result<()> {
    let steps = "CREATE TABLE steps (build_id bigint REFERENCES builds); INSERT INTO steps VALUES (21);";
    let pair = Pair::with_schema(PROJECTS, &format!("{BUILDS} {steps}")).await?;
    let engine = builder(&pair)?.quarantine_after(2).definitions([builds(OnDelete::Delete)?]).build()?;
    let engine = with_least_rights(&engine).await?;
    activate(&engine).await?;
    pair.main.execute("DELETE FROM projects WHERE id IN (1, 2)").await?;
    assert_eq!(engine.run_until_drained(Some(PATIENCE)).await?, Drained::NeedsAttention);
    assert_eq!(retries(&pair.main).await?.len(), 1);
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    pair.ci.execute("DROP TABLE steps").await?;
    let worker = LeastRoles::of(&engine).await?.worker;
    let cli = Cli::for_pair(
        &pair,
        "[[loose_foreign_key]]\nparent = \"main:public.projects(id)\"\nchild = \"ci:public.builds(project_id)\"\non_delete = \"delete\"",
    )?;
    let config = std::fs::read_to_string(cli.config())?.replace("//postgres@", &format!("//{worker}@"));
    std::fs::write(cli.config(), config)?;
    for command in [
        "retry list --all",
        "retry now --all",
        "run --until-drained",
        "status",
        "pause --all",
        "activate --all",
        "stop --all",
        "start --all",
    ] {
        cli.run(command.split(' ')).await?.expect(0);
    }
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[3..]);
    Ok(())
}

/// Runs a statement as a role, and answers with the SQLSTATE that it was refused with.
async fn refused(db: &TestDb, role: &str, sql: &str) -> Result<String> {
    let as_role = format!("SET LOCAL ROLE {role}; {sql}");
    let error = db.execute(&as_role).await.err().with_context(|| format!("{role} may: {sql}"))?;
    let error = error.downcast::<sqlx::Error>()?;
    Ok(error.as_database_error().and_then(|e| e.code()).context("no answer")?.into_owned())
}

#[tokio::test]
async fn f07_the_worker_may_do_its_work_and_nothing_else() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, builds(OnDelete::Delete)?).await?;
    let LeastRoles { installer, worker } = LeastRoles::of(&engine).await?;
    for sql in [
        "SELECT name FROM projects",
        "DELETE FROM projects",
        "UPDATE projects SET id = 0",
        "INSERT INTO lfk.key_log (table_id, keys) VALUES (1, '{1}')",
        "DELETE FROM lfk.key_log",
        "UPDATE lfk.definition SET child = 'another'",
        "INSERT INTO lfk.definition SELECT * FROM lfk.definition",
        "UPDATE lfk.identity SET id = gen_random_uuid()",
        "DELETE FROM lfk.cursor",
        "UPDATE lfk.audit SET event = 'nothing'",
        "DELETE FROM lfk.audit",
        "SELECT lfk.track('projects', '{name}')",
        "SELECT lfk.untrack(1)",
        "SELECT lfk.restore_leaves()",
        "CREATE TABLE lfk.mine ()",
        "DROP TABLE lfk.retry",
    ] {
        assert_eq!(refused(&pair.main, &worker, sql).await?, "42501", "{sql}");
    }
    for sql in [
        "SELECT status FROM builds",
        "UPDATE builds SET status = 0",
        "INSERT INTO builds VALUES (1)",
        "TRUNCATE builds",
        "SELECT * FROM bystanders",
        "DELETE FROM bystanders",
        "SELECT * FROM lfk.control",
        "DELETE FROM lfk.peer",
    ] {
        assert_eq!(refused(&pair.ci, &worker, sql).await?, "42501", "{sql}");
    }
    for (db, sql) in [
        (&pair.main, "SELECT id FROM projects"),
        (&pair.main, "DELETE FROM projects"),
        (&pair.ci, "SELECT project_id FROM builds"),
        (&pair.ci, "DELETE FROM builds"),
    ] {
        assert_eq!(refused(db, &installer, sql).await?, "42501", "{sql}");
    }
    Ok(())
}

#[tokio::test]
async fn f07_who_installs_and_who_works_are_told_apart() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = pair.engine([builds(OnDelete::Delete)?])?;
    let roles = LeastRoles::of(&engine).await?;
    roles.let_by_owners(&engine, "postgres").await?;
    let (installer, worker) = (engine.as_role(&roles.installer), engine.as_role(&roles.worker));
    // Who works cannot install, and changes nothing by trying.
    let refused = worker.install().await.err().context("it was installed")?;
    assert_eq!(refused.kind, ErrorKind::Refused, "{refused}");
    assert!(pair.main.scalar::<bool>("SELECT to_regnamespace('lfk') IS NULL").await?);
    installer.install().await?;
    // Who installs cannot work, and is told so.
    let refused = activate(&installer).await.err().context("it was activated")?;
    assert!(format!("{refused:#}").contains("to see which parents are still there"), "{refused:#}");
    // Who works needs to be let in, and is told how.
    let refused = worker.run_once().await.err().context("it ran")?;
    assert_eq!(refused.kind, ErrorKind::Refused, "{refused}");
    assert!(refused.hint.as_deref().is_some_and(|h| h.contains("lfk grants")), "{refused:?}");
    // A second installation is the installer's too.
    roles.install(&engine).await?;
    let refused = worker.install().await.err().context("it was installed")?;
    assert_eq!(refused.kind, ErrorKind::Refused, "{refused}");
    assert!(refused.message.contains("belongs to"), "{refused}");
    activate(&worker).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    drain(&worker).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    // And so is the end of it.
    let names = [engine.definitions()[0].name.clone()];
    assert!(worker.uninstall(&names).await.is_err());
    installer.uninstall(&names).await?;
    for db in [&pair.main, &pair.ci] {
        assert!(db.scalar::<bool>("SELECT to_regnamespace('lfk') IS NULL").await?);
    }
    Ok(())
}

#[tokio::test]
async fn f07_rights_that_are_taken_back_are_gone() -> Result<()> {
    for place in [Place::AnotherServer, Place::SameDatabase] {
        let pair = place.pair(PROJECTS, BUILDS).await?;
        let engine = active(&pair, builds(OnDelete::Delete)?).await?;
        let LeastRoles { installer, worker } = LeastRoles::of(&engine).await?;
        for (name, db) in [("main", &pair.main), ("ci", &pair.ci)] {
            let granted = format!(
                "SELECT count(*) FROM (
                   SELECT c.relacl AS acl FROM pg_class c UNION ALL SELECT a.attacl FROM pg_attribute a
                   UNION ALL SELECT f.proacl FROM pg_proc f UNION ALL SELECT n.nspacl FROM pg_namespace n WHERE n.nspname = 'lfk'
                 ) all_acl, aclexplode(acl) x WHERE x.grantee = '{worker}'::regrole"
            );
            assert!(db.scalar::<i64>(&granted).await? > 0);
            db.execute(&engine.grants_script(Some(name), &installer, &worker, true)?).await?;
            if matches!(place, Place::SameDatabase) && name == "main" {
                continue;
            }
            assert_eq!(db.scalar::<i64>(&granted).await?, 0, "{place:?} {name}");
        }
    }
    Ok(())
}

/// As on a managed service: the application's role owns the databases and may make roles, and nobody is a superuser.
#[tokio::test]
async fn f07_a_database_without_a_superuser_serves_as_well() -> Result<()> {
    let pair = Pair::new().await?;
    let owner = format!("{}_o", pair.main.name);
    for (db, tables) in [(&pair.main, PROJECTS), (&pair.ci, BUILDS)] {
        let name = &db.name;
        db.execute(&format!(
            "CREATE ROLE {owner} LOGIN CREATEROLE CREATEDB NOSUPERUSER; ALTER DATABASE {name} OWNER TO {owner};
             REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC"
        ))
        .await?;
        db.execute(&format!("SET ROLE {owner}; {tables}; RESET ROLE")).await?;
    }
    let engine = pair.engine([builds(OnDelete::Delete)?])?;
    let roles = LeastRoles::made_by(&engine, &owner).await?;
    roles.let_by_owners(&engine, &owner).await?;
    roles.install(&engine).await?;
    let engine = engine.as_role(&roles.worker);
    activate(&engine).await?;
    // The application deletes as the owner of its tables, who has no right in schema lfk.
    pair.main.execute(&format!("SET ROLE {owner}; DELETE FROM projects WHERE id = 1; RESET ROLE")).await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    assert_eq!(status(&engine).await?.condition, "ok");
    for db in [&pair.main, &pair.ci] {
        let superusers = format!(
            "SELECT count(*) FROM pg_roles WHERE rolsuper AND rolname IN ('{owner}', '{}', '{}')",
            roles.installer, roles.worker
        );
        assert_eq!(db.scalar::<i64>(&superusers).await?, 0);
    }
    assert!(pair.main.scalar::<bool>("SELECT system_identifier IS NULL FROM lfk.identity").await?, "nobody may ask");
    Ok(())
}

#[tokio::test]
async fn f07_grants_are_printed_without_a_network() -> Result<()> {
    let cli = Cli::new(
        "format = 1\n[database.main]\nurl = \"postgres://u@192.0.2.1/main\"\n[database.ci]\nurl = \"postgres://u@192.0.2.1/ci\"\n\
         [[loose_foreign_key]]\nparent = \"main:public.projects(id)\"\nchild = \"ci:public.\\\"Odd 'name'\\\"(project_id)\"\n\
         on_delete = \"set_null\"\n",
    )?;
    let printed = cli.run(["grants", "--installer", "In", "--worker", "o'clock"]).await?.expect(0).stdout;
    for line in [
        "-- lfk: rights, database main",
        "-- lfk: rights, database ci",
        "GRANT SELECT (\"id\") ON TABLE \"public\".\"projects\" TO \"o'clock\";",
        "GRANT EXECUTE ON FUNCTION lfk.cover(integer, integer) TO \"o'clock\";",
        "'\"public\".\"Odd ''name''\"'::pg_catalog.regclass",
    ] {
        assert!(printed.contains(line), "no {line:?} in {printed}");
    }
    assert!(!printed.contains("DELETE ON TABLE"), "{printed}");
    let one = cli.run(["grants", "--database", "ci"]).await?.expect(0).stdout;
    assert!(one.contains("database ci") && !one.contains("database main"), "{one}");
    let back = cli.run(["grants", "--revoke"]).await?.expect(0).stdout;
    assert!(back.contains("REVOKE") && !back.contains("GRANT"), "{back}");
    cli.run(["grants", "--worker", ""]).await?.expect(2);
    cli.run(["grants", "--database", "nowhere"]).await?.expect(2);
    Ok(())
}
