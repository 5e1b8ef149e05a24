//! Mirrors with two roles that have no more rights than `lfk grants` prints: one installs, one works. Neither owns a table of
//! the application, and temporary tables are allowed to nobody who was not told so.

use std::time::Duration;

use anyhow::{Context as _, Result};
use lfk_core::{Concern, Engine, State};
use lfk_mirror::{Mirror, Mirrors as _, Options, Report};
use lfk_tests::scenario::drain;
use lfk_tests::{Cli, LeastRoles, Pair, TestDb, with_least_rights};

use crate::mirror_support::{NAME, builder, fill, rows};

const SOURCE: &str = "CREATE SCHEMA app;
    CREATE TABLE app.spaces (id bigint, name text, owner integer, archived boolean NOT NULL DEFAULT false, secret text,
      PRIMARY KEY (id)) PARTITION BY RANGE (id);
    CREATE TABLE app.spaces_low PARTITION OF app.spaces FOR VALUES FROM (0) TO (5);
    CREATE TABLE app.spaces_high PARTITION OF app.spaces FOR VALUES FROM (5) TO (100);
    INSERT INTO app.spaces SELECT n, 'Space ' || n, n % 3, n % 4 = 0 FROM generate_series(1, 9) n";
const TARGET: &str = "CREATE SCHEMA app;
    CREATE TABLE app.copies (space_id bigint PRIMARY KEY, owner integer, handle text, note text DEFAULT 'ours')
      PARTITION BY RANGE (space_id);
    CREATE TABLE app.copies_low PARTITION OF app.copies FOR VALUES FROM (0) TO (5);
    CREATE TABLE app.copies_high PARTITION OF app.copies FOR VALUES FROM (5) TO (100)";

async fn hardened() -> Result<Pair> {
    let pair = Pair::with_schema(SOURCE, TARGET).await?;
    for db in [&pair.main, &pair.ci] {
        db.execute(&format!(
            "REVOKE ALL ON DATABASE {0} FROM PUBLIC; GRANT CONNECT ON DATABASE {0} TO PUBLIC",
            db.name
        ))
        .await?;
    }
    Ok(pair)
}

fn of_keys() -> Result<Mirror> {
    Ok(Mirror::new(NAME, "main:app.spaces(id)", "ci:app.copies(space_id)")?)
}

/// With an expression and a filter, with plain columns only, and with nothing but its key.
fn mirrors() -> Result<Vec<Mirror>> {
    Ok(vec![
        of_keys()?.column("owner", "owner")?.expression("handle", "lower(name)")?.only_where("NOT archived")?,
        of_keys()?.column("owner", "owner")?.column("name", "handle")?,
        of_keys()?,
    ])
}

async fn active(pair: &Pair, mirror: Mirror) -> Result<Engine> {
    let engine = with_least_rights(&builder(pair)?.mirrors([mirror]).build()?).await?;
    let plan = engine.plan().await?;
    assert!(!plan.is_refused(), "who works may plan: {:?}", plan.mirrors[0].findings);
    engine.set_state(&[NAME.to_owned()], State::Active, false).await?;
    Ok(engine)
}

async fn check(engine: &Engine, mirror: &Mirror, repair: bool) -> Result<Report> {
    let of = |name: &str| engine.databases().iter().find(|d| d.name() == name).context("no such database");
    let mut options = Options::default();
    options.repair = repair;
    options.patience = Duration::from_secs(60);
    Ok(lfk_mirror::check(mirror, of("main")?, of("ci")?, &options).await?)
}

async fn keys(db: &TestDb) -> Result<Vec<String>> {
    rows(db, "SELECT space_id::text FROM app.copies ORDER BY space_id").await
}

#[tokio::test]
async fn f07_a_mirror_lives_with_the_least_rights_from_its_install_to_its_end() -> Result<()> {
    for mirror in mirrors()? {
        let pair = hardened().await?;
        let engine = active(&pair, mirror.clone()).await?;
        fill(&engine).await?;
        pair.main
            .execute("DELETE FROM app.spaces WHERE id = 1; UPDATE app.spaces SET owner = 7, name = 'x' WHERE id = 2;
                      UPDATE app.spaces SET id = 50 WHERE id = 3; INSERT INTO app.spaces VALUES (4, 'Four') ON CONFLICT DO NOTHING;
                      INSERT INTO app.spaces VALUES (60, 'Sixty')")
            .await?;
        drain(&engine).await?;
        let report = check(&engine, &mirror, false).await?;
        assert_eq!((report.confirmed.total(), report.complete), (0, true), "{report:?}");
        // Damage of all three kinds, found, repaired, and kept as it was.
        pair.ci
            .execute("UPDATE app.copies SET owner = 1000, handle = 'damaged' WHERE space_id = 2; DELETE FROM app.copies WHERE space_id = 5;
                      INSERT INTO app.copies VALUES (99, 1, 'nobody')")
            .await?;
        let running = engine.start();
        let report = check(&engine, &mirror, true).await?;
        running.shutdown().await?;
        let repaired = report.repair.clone().context("it was asked to repair")?;
        // A mirror of nothing but its key has nothing that could differ.
        let differing = i64::from(!mirror.columns.is_empty());
        assert_eq!((report.confirmed.missing, report.confirmed.different, report.confirmed.extra), (1, differing, 1));
        assert_eq!((repaired.repaired, repaired.stuck), (2 + differing, 0), "{report:?}");
        assert_eq!(check(&engine, &mirror, false).await?.confirmed.total(), 0);
        let kept = rows(&pair.ci, "SELECT row ->> 'note' FROM lfk.before_image ORDER BY row ->> 'space_id'").await?;
        assert_eq!(kept.len(), if mirror.columns.is_empty() { 1 } else { 2 }, "{kept:?}");
        assert!(kept.iter().all(|note| note == "ours"), "the whole row was kept: {kept:?}");
        // A TRUNCATE is followed by a sweep.
        pair.main.execute("TRUNCATE app.spaces; INSERT INTO app.spaces VALUES (7, 'Seven', 1)").await?;
        drain(&engine).await?;
        assert_eq!(keys(&pair.ci).await?, ["7"]);
        assert_eq!(engine.status().await?.mirrors[0].condition, "ok");
        let installer = engine.as_role(&LeastRoles::named_after(&engine)?.installer);
        installer.uninstall(&[NAME.to_owned()]).await?;
        for db in [&pair.main, &pair.ci] {
            assert!(db.scalar::<bool>("SELECT to_regnamespace('lfk') IS NULL").await?);
        }
        assert_eq!(keys(&pair.ci).await?, ["7"], "the target is nobody's but the application's");
    }
    Ok(())
}

/// Every right that somebody was given by name, wherever it is written down.
fn granted(role: &str) -> String {
    format!(
        "SELECT count(*) FROM (
           SELECT c.relacl AS acl FROM pg_class c UNION ALL SELECT a.attacl FROM pg_attribute a
           UNION ALL SELECT f.proacl FROM pg_proc f UNION ALL SELECT n.nspacl FROM pg_namespace n WHERE n.nspname = 'lfk'
           UNION ALL SELECT d.datacl FROM pg_database d WHERE d.datname = current_database()
         ) all_acl, aclexplode(acl) x WHERE x.grantee = '{role}'::regrole"
    )
}

#[tokio::test]
async fn f07_rights_on_mirrors_that_are_taken_back_are_gone() -> Result<()> {
    for mirror in mirrors()? {
        let pair = hardened().await?;
        let engine = active(&pair, mirror).await?;
        let LeastRoles { installer, worker } = LeastRoles::named_after(&engine)?;
        for (name, db) in [("main", &pair.main), ("ci", &pair.ci)] {
            assert!(db.scalar::<i64>(&granted(&worker)).await? > 0);
            db.execute(&engine.grants_script(Some(name), &installer, &worker, true)?).await?;
            assert_eq!(db.scalar::<i64>(&granted(&worker)).await?, 0, "{name}");
        }
        // What is missing then is said, with the statements that give it back: followed, they are enough.
        let plan = engine.plan().await?;
        let findings: Vec<_> = plan.mirrors[0].findings.iter().filter(|f| f.forbids_work()).collect();
        assert!(findings.iter().all(|f| f.code == "missing_privilege"), "{findings:?}");
        assert!(findings.iter().any(|f| f.message.contains("database main")), "{findings:?}");
        assert!(findings.iter().any(|f| f.message.contains("database ci")), "{findings:?}");
    }
    Ok(())
}

/// A statement as a role, and the SQLSTATE of its refusal.
async fn refused(db: &TestDb, role: &str, sql: &str) -> Result<String> {
    let error = db
        .execute(&format!("SET LOCAL ROLE {role}; {sql}"))
        .await
        .err()
        .with_context(|| format!("{role} may: {sql}"))?;
    let error = error.downcast::<sqlx::Error>()?;
    Ok(error.as_database_error().and_then(|e| e.code()).context("no answer")?.into_owned())
}

#[tokio::test]
async fn f07_the_worker_of_a_mirror_may_do_its_work_and_nothing_else() -> Result<()> {
    let pair = hardened().await?;
    let engine = active(&pair, mirrors()?.swap_remove(1)).await?;
    let LeastRoles { installer, worker } = LeastRoles::named_after(&engine)?;
    for sql in [
        "SELECT secret FROM app.spaces",
        "DELETE FROM app.spaces",
        "UPDATE app.spaces SET owner = 1",
        "CREATE TEMPORARY TABLE t ()",
    ] {
        assert_eq!(refused(&pair.main, &worker, sql).await?, "42501", "{sql}");
    }
    for sql in [
        "UPDATE app.copies SET note = 'mine'",
        "UPDATE app.copies SET space_id = 1",
        "INSERT INTO app.copies (space_id, note) VALUES (1, 'mine')",
        "TRUNCATE app.copies",
        "SELECT * FROM lfk.before_image",
        "DELETE FROM lfk.before_image",
        "DELETE FROM lfk.mirror_fence",
    ] {
        assert_eq!(refused(&pair.ci, &worker, sql).await?, "42501", "{sql}");
    }
    for (db, sql) in [
        (&pair.main, "SELECT id FROM app.spaces"),
        (&pair.ci, "SELECT space_id FROM app.copies"),
        (&pair.ci, "DELETE FROM app.copies"),
    ] {
        assert_eq!(refused(db, &installer, sql).await?, "42501", "{sql}");
    }
    Ok(())
}

#[tokio::test]
async fn f07_missing_rights_of_a_mirror_are_named_with_their_grants_and_their_database() -> Result<()> {
    let pair = hardened().await?;
    let engine = builder(&pair)?.mirrors([mirrors()?.swap_remove(0)]).build()?;
    let roles = LeastRoles::of(&engine).await?;
    let stranger = engine.as_role(&roles.worker);
    // What is printed as remedies is followed, one database after the other, until nothing is missing.
    for _ in 0..3 {
        for finding in &stranger.plan().await?.mirrors[0].findings {
            assert_eq!(
                (finding.code, finding.message.contains(&roles.worker)),
                ("missing_privilege", true),
                "{finding:?}"
            );
            for line in &finding.remedy {
                let (statement, database) = line.split_once(" -- in database ").context("no database is named")?;
                let db = if database == "main" { &pair.main } else { &pair.ci };
                db.execute(statement).await?;
            }
        }
    }
    let plan = stranger.plan().await?;
    assert!(plan.mirrors[0].findings.is_empty(), "{:?}", plan.mirrors[0].findings);
    stranger.install().await?;
    stranger.set_state(&[NAME.to_owned()], State::Active, false).await?;
    fill(&stranger).await?;
    assert_eq!(keys(&pair.ci).await?, ["1", "2", "3", "5", "6", "7", "9"]);
    Ok(())
}

#[tokio::test]
async fn f07_who_installs_a_mirror_need_not_be_able_to_read_it() -> Result<()> {
    let pair = hardened().await?;
    let engine = builder(&pair)?.mirrors([mirrors()?.swap_remove(0)]).build()?;
    let roles = LeastRoles::of(&engine).await?;
    roles.let_by_owners(&engine, "postgres").await?;
    let installer = engine.as_role(&roles.installer);
    let plan = installer.plan().await?;
    let refusals: Vec<_> = plan.mirrors[0].findings.iter().filter(|f| f.refuses).collect();
    assert!(!refusals.is_empty() && refusals.iter().all(|f| f.concerns == Concern::Work), "{refusals:?}");
    installer.install().await?;
    Ok(())
}

#[tokio::test]
async fn f07_grants_of_a_mirror_are_printed_without_a_network() -> Result<()> {
    let cli = Cli::new(
        "format = 1\n[database.main]\nurl = \"postgres://u@192.0.2.1/main\"\n[database.ci]\nurl = \"postgres://u@192.0.2.1/ci\"\n\
         [[mirror]]\nname = \"m\"\nsource = \"main:public.spaces\"\ntarget = \"ci:public.copies\"\nkey = { id = \"space_id\" }\n\
         columns = { owner = \"owner\" }\n",
    )?;
    let main = cli.run(["grants", "--worker", "w", "--database", "main"]).await?.expect(0).stdout;
    assert!(main.contains("GRANT SELECT (\"id\", \"owner\") ON TABLE \"public\".\"spaces\" TO \"w\";"), "{main}");
    let ci = cli.run(["grants", "--worker", "w", "--database", "ci"]).await?.expect(0).stdout;
    let grant = "GRANT SELECT, DELETE, INSERT (\"space_id\", \"owner\"), UPDATE (\"owner\") ON TABLE \"public\".\"copies\" TO \"w\";";
    assert!(ci.contains(grant) && ci.contains("lfk.before_image") && !ci.contains("TRIGGER ON TABLE"), "{ci}");
    let back = cli.run(["grants", "--revoke"]).await?.expect(0).stdout;
    assert!(back.contains("REVOKE SELECT, DELETE, INSERT") && !back.contains("GRANT"), "{back}");
    Ok(())
}
