//! F7, on a server like those of cloud providers: nobody of ours is a superuser, whose login is refused; connections are
//! encrypted and take a password; the application's role owns the tables; and all that is to be decided is decided by a
//! *master* that may make roles and databases. Its rights over the roles that it makes differ between PostgreSQL 15, where it may
//! grant any role, and 16, where it may grant those that it has made.

use std::time::Duration;

use anyhow::{Context as _, Result};
use lfk_tests::scenario::PATIENCE;
use lfk_tests::{Authority, Cli, Cluster, Outcome, Signal, TestDb, eventually};
use sqlx::PgPool;

use crate::capture_support::lines;
use crate::clean_support::table;

const PROJECTS: &str = "CREATE TABLE projects (id bigint PRIMARY KEY, name text) PARTITION BY RANGE (id);
    CREATE TABLE projects_0 PARTITION OF projects FOR VALUES FROM (0) TO (100);
    INSERT INTO projects SELECT n, n FROM generate_series(1, 9) n";
const BUILDS: &str = "CREATE TABLE builds (id bigint, project_id bigint) PARTITION BY RANGE (id);
    CREATE INDEX ON builds (project_id);
    CREATE TABLE builds_0 PARTITION OF builds FOR VALUES FROM (0) TO (100);
    INSERT INTO builds SELECT n, n FROM generate_series(1, 9) n";
const DEFINITION: &str = "[[loose_foreign_key]]\nparent = \"main:public.projects(id)\"\nchild = \"ci:public.builds(project_id)\"\n\
                          on_delete = \"delete\"\n";

/// A server with two databases of the master, where the application has made its tables.
struct Managed {
    cluster: Cluster,
    authority: Authority,
    main: TestDb,
    ci: TestDb,
}

impl Managed {
    async fn new() -> Result<Self> {
        let authority = Authority::new()?;
        let cluster = Cluster::start_with(&authority.certify("localhost")?.settings()).await?;
        let (main, ci) = (TestDb::on(&cluster).await?, TestDb::on(&cluster).await?);
        // What the provider does. The master may hand on what lets one look at others, and may not look at the system.
        main.execute(
            "CREATE ROLE master LOGIN CREATEROLE CREATEDB PASSWORD 'of-master'; GRANT pg_monitor TO master WITH ADMIN OPTION",
        )
        .await?;
        for db in [&main, &ci] {
            let name = &db.name;
            db.execute(&format!(
                "ALTER DATABASE {name} OWNER TO master; REVOKE EXECUTE ON FUNCTION pg_control_system() FROM PUBLIC"
            ))
            .await?;
        }
        // From here on nobody gets in as a superuser, from anywhere, nor without encryption and a password.
        // The server does the hashing: in a program that is not optimised it takes a second.
        let rules = "hostssl all postgres all reject\nhostssl all all 127.0.0.1/32 password\n";
        std::fs::write(cluster.home().join("pg/pg_hba.conf"), rules)?;
        main.execute("SELECT pg_reload_conf()").await?;
        for db in [&main, &ci] {
            db.pool.close().await;
        }
        let server = Self { cluster, authority, main, ci };
        let master = server.as_role(&server.main, "master")?;
        for role in ["app", "installer", "worker"] {
            master.execute(&format!("CREATE ROLE {role} LOGIN PASSWORD 'of-{role}'")).await?;
        }
        for (db, tables) in [(&server.main, PROJECTS), (&server.ci, BUILDS)] {
            server.as_role(db, "master")?.execute("GRANT CREATE ON SCHEMA public TO app").await?;
            server.as_role(db, "app")?.execute(tables).await?;
        }
        Ok(server)
    }

    fn url(&self, db: &TestDb, login: &str) -> String {
        let (port, ca) = (self.cluster.port(), self.authority.file());
        format!("postgres://{login}@localhost:{port}/{}?sslmode=verify-full&sslrootcert={}", db.name, ca.display())
    }

    /// A database for a role that logs in.
    fn as_role(&self, db: &TestDb, role: &str) -> Result<TestDb> {
        let mut as_role = db.clone();
        as_role.url = self.url(db, &format!("{role}:of-{role}"));
        as_role.pool = PgPool::connect_lazy(&as_role.url)?;
        Ok(as_role)
    }

    /// The commands of a role.
    fn cli(&self, role: &str) -> Result<Cli> {
        let (main, ci) = (self.url(&self.main, "${LFK_LOGIN}"), self.url(&self.ci, "${LFK_LOGIN}"));
        let config =
            format!("format = 1\n[database.main]\nurl = \"{main}\"\n[database.ci]\nurl = \"{ci}\"\n{DEFINITION}");
        Ok(Cli::new(&config)?.env("LFK_LOGIN", &format!("{role}:of-{role}")))
    }

    /// What is printed for one database: for the owners of the tables, and for the role that installs.
    async fn grants(&self, database: &str, installer: &str) -> Result<(String, String)> {
        let args = ["grants", "--database", database, "--installer", installer, "--worker", "worker"];
        let printed = self.cli("worker")?.run(args).await?.expect(0).stdout;
        let (by_owners, by_installer) = printed.split_once("-- By the installer").context("one part only")?;
        Ok((by_owners.to_owned(), format!("-- {by_installer}")))
    }

    fn both(&self) -> [(&'static str, &TestDb); 2] {
        [("main", &self.main), ("ci", &self.ci)]
    }

    async fn builds(&self) -> Result<Vec<String>> {
        lines(&self.as_role(&self.ci, "app")?, "SELECT project_id FROM builds ORDER BY id").await
    }
}

/// What a server refused with, and its hint.
async fn refusal(db: &TestDb, sql: &str) -> Result<(String, String)> {
    let error = db.execute(sql).await.err().context("it was not refused")?.downcast::<sqlx::Error>()?;
    let answer = error.as_database_error().context("no answer")?.downcast_ref::<sqlx::postgres::PgDatabaseError>();
    assert_eq!(answer.code(), "42501", "{answer:?}");
    Ok((answer.message().to_owned(), answer.hint().unwrap_or_default().to_owned()))
}

/// Runs a script in the name of a role, which the master joins for that time.
async fn as_member(master: &TestDb, of: &str, sql: &str) -> Result<()> {
    master.execute(&format!("GRANT {of} TO master")).await?;
    master.execute(&format!("SET LOCAL ROLE {of}; {sql}")).await?;
    master.execute(&format!("REVOKE {of} FROM master")).await?;
    Ok(())
}

/// Nothing but refusals of these kinds, each with the database that its remedy is for.
#[track_caller]
fn says(outcome: &Outcome, grant: &str, database: &str) {
    let said = outcome
        .stderr
        .lines()
        .any(|line| line.contains(grant) && line.ends_with(&format!("; -- in database {database}")));
    assert!(said, "no {grant} in {database}: {}", outcome.stderr);
}

#[tokio::test]
async fn f07_on_a_managed_service_the_master_lets_in_who_installs_and_who_works() -> Result<()> {
    let server = Managed::new().await?;
    // Some teams take what the defaults give to everybody. It holds for what this role makes from now on.
    for (_, db) in server.both() {
        let hardened = "ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC";
        server.as_role(db, "installer")?.execute(hardened).await?;
    }
    let (installer, worker) = (server.cli("installer")?, server.cli("worker")?);
    says(&installer.run(["install"]).await?.expect(4), "GRANT TRIGGER ON public.projects TO installer", "main");

    for (name, db) in server.both() {
        let (by_owners, _) = server.grants(name, "installer").await?;
        let (app, master) = (server.as_role(db, "app")?, server.as_role(db, "master")?);
        // The master owns the database and not the tables. Somebody who has any right on them would only be warned.
        refusal(&master, &by_owners).await?;
        app.execute(&format!("GRANT SELECT ON {} TO master", if name == "main" { "projects" } else { "builds" }))
            .await?;
        let (message, hint) = refusal(&master, &by_owners).await?;
        assert!(message.contains("master may not grant") && message.contains(&db.name), "{message}");
        assert!(hint.contains("app"), "{hint}");
        // As a member of the application's role it may, and what it gave stays.
        master.execute("GRANT app TO master").await?;
        master.execute(&by_owners).await?;
        master.execute("REVOKE app FROM master").await?;
    }
    installer.run(["install"]).await?.expect(0);
    let refused = worker.run(["activate", "--all"]).await?.expect(4);
    assert!(refused.stderr.contains("lfk grants --database main"), "{}", refused.stderr);
    for (name, db) in server.both() {
        let (_, by_installer) = server.grants(name, "installer").await?;
        let master = server.as_role(db, "master")?;
        refusal(&master, &by_installer).await?;
        as_member(&master, "installer", &by_installer).await?;
    }

    worker.run(["activate", "--all"]).await?.expect(0);
    server.as_role(&server.main, "app")?.execute("DELETE FROM projects WHERE id < 4").await?;
    worker.run(["run", "--until-drained"]).await?.expect(0);
    assert_eq!(server.builds().await?, ["4", "5", "6", "7", "8", "9"]);
    let status = worker.run(["status", "--format", "json"]).await?.expect(0).json()?;
    assert_eq!(status["loose_foreign_keys"][0]["condition"], "ok", "{status}");
    assert_eq!(status["signals"][0]["condition"], "none", "{status}");
    let (main, ci) = (server.as_role(&server.main, "installer")?, server.as_role(&server.ci, "installer")?);
    let owned = "SELECT DISTINCT nspowner::regrole FROM pg_namespace WHERE nspname = 'lfk'";
    for db in [&main, &ci] {
        assert_eq!(lines(db, owned).await?, ["installer"]);
        assert!(db.scalar::<bool>("SELECT system_identifier IS NULL FROM lfk.identity").await?, "nobody may ask");
        assert!(db.scalar::<bool>("SELECT bool_and(ssl) FROM pg_stat_ssl WHERE pid = pg_backend_pid()").await?);
    }
    Ok(())
}

/// Installed and active, by what the application's role itself gives: the master is the one that installs.
async fn active() -> Result<Managed> {
    let server = Managed::new().await?;
    for (name, db) in server.both() {
        let (by_owners, _) = server.grants(name, "master").await?;
        server.as_role(db, "app")?.execute(&by_owners).await?;
    }
    server.cli("master")?.run(["install"]).await?.expect(0);
    for (name, db) in server.both() {
        let (_, by_installer) = server.grants(name, "master").await?;
        server.as_role(db, "master")?.execute(&by_installer).await?;
    }
    server.cli("worker")?.run(["activate", "--all"]).await?.expect(0);
    Ok(server)
}

/// Runs the daemon until it has covered what is asked for.
async fn covers(worker: &Cli, covered: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let mut daemon = worker.spawn(["run"])?;
    eventually("it is covered", PATIENCE, covered).await?;
    daemon.signal(Signal::Terminate)?;
    daemon.wait(PATIENCE).await?.expect(0);
    Ok(())
}

#[tokio::test]
async fn c03_on_a_managed_service_new_partitions_name_their_grants_or_come_with_them() -> Result<()> {
    let server = active().await?;
    let (main, ci) = (server.as_role(&server.main, "app")?, server.as_role(&server.ci, "app")?);
    let worker = server.cli("worker")?;
    let partition = |table: &str, from: u32| {
        format!("CREATE TABLE {table}_{from} PARTITION OF {table} FOR VALUES FROM ({from}) TO ({})", from + 100)
    };
    let triggers = async |table: &str| -> Result<i64> {
        let count =
            format!("SELECT count(*) FROM pg_trigger WHERE tgrelid = '{table}'::regclass AND tgname LIKE 'lfk%'");
        main.scalar(&count).await
    };

    // Of the parents: said with the database, and nothing else waits for it.
    main.execute(&format!("{}; INSERT INTO projects VALUES (101)", partition("projects", 100))).await?;
    main.execute("DELETE FROM projects WHERE id = 1").await?;
    let run = worker.run(["run", "--until-drained"]).await?.expect(0);
    assert!(
        run.stderr.contains("GRANT TRIGGER ON TABLE public.projects_100 TO master; -- in database main"),
        "{}",
        run.stderr
    );
    assert_eq!(triggers("projects_100").await?, 0);
    main.execute("GRANT TRIGGER ON TABLE public.projects_100 TO master").await?;
    covers(&worker, async || Ok(triggers("projects_100").await? == 3)).await?;

    // Of the children: the definition waits for it.
    ci.execute(&format!("{}; INSERT INTO builds VALUES (101, 101)", partition("builds", 100))).await?;
    main.execute("DELETE FROM projects_100 WHERE id = 101").await?;
    let grant = "GRANT DELETE, SELECT (ctid, project_id), UPDATE (project_id) ON public.builds_100 TO worker";
    says(&worker.run(["run", "--until-drained"]).await?.expect(4), grant, "ci");
    ci.execute(grant).await?;
    worker.run(["run", "--until-drained"]).await?.expect(0);
    assert_eq!(server.builds().await?, ["2", "3", "4", "5", "6", "7", "8", "9"]);

    // Who makes the partitions can let them come with their rights.
    main.execute("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT TRIGGER ON TABLES TO master").await?;
    ci.execute("ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, UPDATE, DELETE ON TABLES TO worker").await?;
    main.execute(&format!("{}; INSERT INTO projects VALUES (201)", partition("projects", 200))).await?;
    ci.execute(&format!("{}; INSERT INTO builds VALUES (201, 201)", partition("builds", 200))).await?;
    covers(&worker, async || Ok(triggers("projects_200").await? == 3)).await?;
    main.execute("DELETE FROM projects_200").await?;
    let run = worker.run(["run", "--until-drained"]).await?.expect(0);
    assert!(!run.stderr.contains("not covered"), "{}", run.stderr);
    assert_eq!(server.builds().await?, ["2", "3", "4", "5", "6", "7", "8", "9"]);
    Ok(())
}

#[tokio::test]
async fn f07_on_a_managed_service_uninstalling_and_taking_back_leaves_nothing() -> Result<()> {
    let server = active().await?;
    // Who works cannot uninstall.
    assert_ne!(server.cli("worker")?.run(["uninstall", "--all", "--yes"]).await?.code, 0);
    server.cli("master")?.run(["uninstall", "--all", "--yes"]).await?.expect(0);
    for (name, db) in server.both() {
        let args = ["grants", "--database", name, "--installer", "master", "--worker", "worker", "--revoke"];
        let back = server.cli("worker")?.run(args).await?.expect(0).stdout;
        let (app, master) = (server.as_role(db, "app")?, server.as_role(db, "master")?);
        app.execute(&back).await?;
        // USAGE is left, because others may have granted it, too.
        master.execute("REVOKE USAGE ON SCHEMA public FROM worker").await?;
        assert!(master.scalar::<bool>("SELECT to_regnamespace('lfk') IS NULL").await?);
        assert_eq!(lines(&master, "SELECT tgname FROM pg_trigger WHERE tgname LIKE 'lfk%'").await?, [""; 0]);
    }
    // A role that has any right left anywhere cannot be dropped.
    server.as_role(&server.main, "master")?.execute("DROP ROLE worker").await?;
    server.as_role(&server.main, "app")?.execute("DELETE FROM projects").await?;
    assert_eq!(table(&server.as_role(&server.ci, "app")?, "builds").await?.len(), 9);
    Ok(())
}

#[tokio::test]
async fn f07_on_a_managed_service_nobody_is_a_superuser_or_talks_in_plain_text() -> Result<()> {
    let server = Managed::new().await?;
    let master = server.as_role(&server.main, "master")?;
    let superusers = "SELECT rolname FROM pg_roles WHERE rolsuper AND rolname <> 'postgres'";
    assert_eq!(lines(&master, superusers).await?, [""; 0]);
    let plain = format!("postgres://master:of-master@127.0.0.1:{}/{}", server.cluster.port(), server.main.name);
    for url in [
        server.cluster.url(&server.main.name),
        server.url(&server.main, "postgres:postgres"),
        format!("{plain}?sslmode=disable"),
    ] {
        let tried = tokio::time::timeout(Duration::from_secs(20), PgPool::connect(&url)).await;
        assert!(!matches!(tried, Ok(Ok(_))), "it was let in");
    }
    Ok(())
}
