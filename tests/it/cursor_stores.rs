//! Cursor stores in memory and in PostgreSQL, and what `lfk.toml` says about them.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use lfk_core::{CursorStore, Database, Engine, ErrorKind, MemoryStore, OnDelete, PostgresStore};
use lfk_tests::scenario::loose;
use lfk_tests::{Cli, Pair, Role, TestDb, with_least_rights};

use crate::capture_support::lines;
use crate::clean_support::{BUILDS, PROJECTS};
use crate::store_suite::{Client, conforms};

#[tokio::test(flavor = "multi_thread")]
async fn m07_the_store_in_memory_conforms() -> Result<()> {
    let store = MemoryStore::new();
    let clients: [Client; 2] = [Arc::new(store.clone()), Arc::new(store)];
    conforms(&clients[0], &clients[1]).await?;
    let another: Client = Arc::new(MemoryStore::new());
    assert_eq!(another.load("count").await?, None, "two stores are one");
    Ok(())
}

async fn installed(pair: &Pair) -> Result<Engine> {
    let engine = pair.engine([loose("projects(id)", "builds(project_id)", OnDelete::Delete)?])?;
    engine.install().await?;
    Ok(engine)
}

#[tokio::test(flavor = "multi_thread")]
async fn m07_the_store_in_postgres_conforms_and_goes_with_the_schema() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = installed(&pair).await?;
    // The engine's own choice, and the pool of an application.
    let clients: [Client; 2] =
        [engine.cursor_store("main")?, Arc::new(PostgresStore::new(Database::new("main", pair.main.pool.clone())))];
    conforms(&clients[0], &clients[1]).await?;

    assert!(pair.main.scalar::<i64>("SELECT count(*) FROM lfk.position").await? > 0);
    let moved = "UPDATE lfk.position SET moved_at = '-infinity' WHERE name = 'count' RETURNING name";
    assert_eq!(lines(&pair.main, moved).await?, ["count"]);
    let version = clients[0].load("count").await?.context("gone")?.version;
    clients[0].save("count", "1", Some(version)).await?.context("refused")?;
    let fresh = "SELECT moved_at > now() - interval '1 minute' FROM lfk.position WHERE name = 'count'";
    assert!(pair.main.scalar::<bool>(fresh).await?, "when it moved is not kept");

    engine.uninstall(&["builds.project_id".to_owned()]).await?;
    assert_eq!(pair.main.scalar::<Option<String>>("SELECT to_regclass('lfk.position')::text").await?, None);
    assert_eq!(clients[0].load("count").await.unwrap_err().kind, ErrorKind::NotInstalled);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn f07_the_store_in_postgres_works_with_the_least_rights() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = pair.engine([loose("projects(id)", "builds(project_id)", OnDelete::Delete)?])?;
    let worker = with_least_rights(&engine).await?;
    conforms(&worker.cursor_store("main")?, &worker.cursor_store("main")?).await
}

#[tokio::test]
async fn f07_a_database_without_lfk_has_no_store_and_says_so() -> Result<()> {
    let db = TestDb::new(Role::Main).await?;
    let store = PostgresStore::new(Database::connect_lazy("main", &db.url)?);
    let failures = [
        store.load("scan").await.unwrap_err(),
        store.save("scan", "1", None).await.unwrap_err(),
        store.save("scan", "1", Some(1)).await.unwrap_err(),
        store.forget("scan").await.unwrap_err(),
    ];
    for error in failures {
        assert_eq!(error.kind, ErrorKind::NotInstalled);
        assert_eq!((error.database.as_deref(), error.hint.as_deref()), (Some("main"), Some("run `lfk install`")));
    }
    assert_eq!(db.scalar::<i64>("SELECT count(*) FROM pg_namespace WHERE nspname = 'lfk'").await?, 0);
    Ok(())
}

#[tokio::test]
async fn m07_a_position_belongs_to_the_database_it_is_kept_in_unless_a_store_is_given() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = installed(&pair).await?;
    engine.cursor_store("main")?.save("scan", "1", None).await?.context("refused")?;
    assert_eq!(lines(&pair.main, "SELECT name, value FROM lfk.position").await?, ["scan|1"]);
    assert_eq!(engine.cursor_store("ci")?.load("scan").await?, None);
    assert_eq!(engine.cursor_store("no such").unwrap_err().kind, ErrorKind::Config);

    let memory = Arc::new(MemoryStore::new());
    let given = engine.databases().iter().cloned().fold(Engine::builder(), lfk_core::Builder::database);
    let given = given.cursor_store(memory.clone()).build()?;
    given.cursor_store("main")?.save("scan", "2", None).await?.context("refused")?;
    assert_eq!(memory.load("scan").await?.context("elsewhere")?.value, "2");
    assert_eq!(given.cursor_store("no such").unwrap_err().kind, ErrorKind::Config);
    Ok(())
}

const MAIN: &str = "format = 1\n[database.main]\nurl = \"postgres://localhost/main\"\n";

#[tokio::test]
async fn f07_a_store_that_is_not_configured_is_2_with_its_place_and_the_remedy() -> Result<()> {
    for (config, place, hint) in [
        ("[cursors]\nstore = \"redis\"\n", "lfk.toml:5:9:", "[redis]"),
        ("[cursors]\nstore = \"etcd\"\n", "lfk.toml:5:9:", "\"postgres\", \"redis\" or \"memory\""),
        ("[redis]\nurl = \"redis://lfk:tell-nobody@h:port\"\n", "lfk.toml:5:7:", "redis://user:password@host"),
        ("[redis]\nurl = \"${NO_SUCH_REDIS_URL}\"\n", "lfk.toml:5:7:", "NO_SUCH_REDIS_URL"),
        ("[redis]\nuri = \"redis://lfk:tell-nobody@h\"\n", "lfk.toml:5:1:", "known: url, prefix"),
    ] {
        let cli = Cli::new(&format!("{MAIN}{config}"))?;
        for command in ["check-config", "status", "run"] {
            let outcome = cli.run([command, "-vv"]).await?.expect(2);
            let said = |start: &str, words: &str| {
                outcome.stderr.lines().any(|line| line.starts_with(start) && line.contains(words))
            };
            assert!(said("error: ", place) && said("hint: ", hint), "{config}: {outcome:?}");
            assert!(!format!("{outcome:?}").contains("tell-nobody"), "{outcome:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn f04_check_config_says_where_cursors_are_kept_without_asking_redis() -> Result<()> {
    // Nothing listens there.
    let redis = "[redis]\nurl = \"redis://lfk:tell-nobody@127.0.0.1:1/0\"\nprefix = \"shop\"\n";
    for (config, store, prefix) in [
        (String::new(), "postgres", None),
        (redis.to_owned(), "postgres", None),
        (format!("{redis}[cursors]\nstore = \"redis\"\n"), "redis", Some("shop")),
        (redis.replace("prefix", "# prefix") + "[cursors]\nstore = \"redis\"\n", "redis", Some("lfk")),
        ("[cursors]\nstore = \"memory\"\n".to_owned(), "memory", None),
    ] {
        let cli = Cli::new(&format!("{MAIN}{config}"))?;
        let json = cli.run(["check-config", "--format", "json", "-vv"]).await?.expect(0);
        assert_eq!(json.json()?["cursors"], serde_json::json!({ "store": store, "prefix": prefix }), "{config}");
        let text = cli.run(["check-config", "-vv"]).await?.expect(0);
        let line = prefix.map_or(store.to_owned(), |prefix| format!("{store}, prefix \"{prefix}\""));
        assert!(text.stdout.contains(&format!("cursors of scans and checks: {line}\n")), "{text:?}");
        assert!(!format!("{json:?}{text:?}").contains("tell-nobody"), "{json:?}{text:?}");
    }
    Ok(())
}
