//! Several apps in one database, and an app whose role is no superuser.

use anyhow::Result;
use lfk_core::{Engine, OnDelete};
use lfk_tests::scenario::{activate, active, as_installer, drain, loose};
use lfk_tests::{Pair, TestDb, engine};

use crate::capture_support::{in_both, lines, role, rows, run, url_as};

const GARDEN: &str = "
    CREATE TABLE trees (id bigint PRIMARY KEY); INSERT INTO trees VALUES (1), (2), (3);
    CREATE TABLE beds (id bigint PRIMARY KEY); INSERT INTO beds VALUES (1), (2)";
const HARVEST: &str = "
    CREATE TABLE apples (id int PRIMARY KEY, tree_id bigint); CREATE INDEX ON apples (tree_id);
    CREATE TABLE nests (id int PRIMARY KEY, tree_id bigint); CREATE INDEX ON nests (tree_id);
    CREATE TABLE leeks (id int PRIMARY KEY, bed_id bigint); CREATE INDEX ON leeks (bed_id);
    INSERT INTO apples VALUES (10, 1), (20, 2), (30, 3);
    INSERT INTO nests VALUES (10, 1), (20, 2), (30, 3);
    INSERT INTO leeks VALUES (10, 1), (20, 2)";

/// One app has apples, the other nests and leeks; both watch the trees.
async fn two_apps() -> Result<(Pair, Engine, Engine)> {
    let pair = Pair::new().await?;
    in_both(&pair, GARDEN, HARVEST).await?;
    let one = active(&pair, [loose("trees(id)", "apples(tree_id)", OnDelete::Delete)?]).await?;
    let nests = loose("trees(id)", "nests(tree_id)", OnDelete::SetNull)?;
    let leeks = loose("beds(id)", "leeks(bed_id)", OnDelete::Delete)?;
    let two = active(&pair, [nests, leeks]).await?;
    Ok((pair, one, two))
}

fn names(engine: &Engine) -> Vec<String> {
    engine.definitions().iter().map(|d| d.name.clone()).collect()
}

const TRIGGERS: &str = "
    SELECT tgrelid::regclass, string_agg(tgname, ' ' ORDER BY tgname) FROM pg_trigger WHERE tgname LIKE 'lfk%'
     GROUP BY tgrelid ORDER BY tgrelid::regclass::text";
const OF_BOTH: [&str; 2] = ["beds|lfk_2_d lfk_2_t lfk_2_u", "trees|lfk_1_d lfk_1_t lfk_1_u"];

#[tokio::test]
async fn c07_two_apps_of_one_database_clean_what_is_theirs() -> Result<()> {
    let (pair, one, two) = two_apps().await?;
    pair.main.execute("DELETE FROM trees WHERE id = 1; DELETE FROM beds WHERE id = 1").await?;
    drain(&two).await?;
    assert_eq!(rows(&pair.ci, "nests").await?, ["10|NULL", "20|2", "30|3"]);
    assert_eq!(rows(&pair.ci, "leeks").await?, ["20|2"]);
    assert_eq!(rows(&pair.ci, "apples").await?, ["10|1", "20|2", "30|3"], "the other app has not been here");
    drain(&one).await?;
    assert_eq!(rows(&pair.ci, "apples").await?, ["20|2", "30|3"]);
    Ok(())
}

#[tokio::test]
async fn c07_installing_one_app_again_touches_nothing_of_the_other() -> Result<()> {
    let (pair, one, _two) = two_apps().await?;
    let everything = |sql: &'static str| lines(&pair.main, sql);
    let definitions = "SELECT xmin, * FROM lfk.definition ORDER BY name";
    let cursors = "SELECT xmin, * FROM lfk.cursor ORDER BY consumer";
    let functions = "SELECT xmin, oid, proname FROM pg_proc WHERE pronamespace = 'lfk'::regnamespace ORDER BY oid";
    let before = (everything(definitions).await?, everything(cursors).await?, everything(functions).await?);
    let installed = as_installer(&one)?.install().await?;
    assert_eq!(installed[0].outcome, "unchanged");
    let after = (everything(definitions).await?, everything(cursors).await?, everything(functions).await?);
    assert_eq!(before, after);
    assert_eq!(lines(&pair.main, TRIGGERS).await?, OF_BOTH);
    Ok(())
}

#[tokio::test]
async fn c07_uninstalling_one_app_leaves_the_other_at_work() -> Result<()> {
    let (pair, one, two) = two_apps().await?;
    assert_eq!(as_installer(&one)?.uninstall(&names(&one)).await?, ["apples.tree_id"]);
    assert_eq!(lines(&pair.main, TRIGGERS).await?, OF_BOTH);
    assert_eq!(
        lines(&pair.main, "SELECT name, state FROM lfk.definition ORDER BY 1").await?,
        ["leeks.bed_id|active", "nests.tree_id|active"]
    );
    assert_eq!(lines(&pair.ci, "SELECT definition FROM lfk.peer ORDER BY 1").await?, ["leeks.bed_id", "nests.tree_id"]);
    pair.main.execute("DELETE FROM trees WHERE id = 2").await?;
    drain(&two).await?;
    assert_eq!(rows(&pair.ci, "nests").await?, ["10|1", "20|NULL", "30|3"]);
    assert_eq!(rows(&pair.ci, "apples").await?, ["10|1", "20|2", "30|3"]);
    Ok(())
}

#[tokio::test]
async fn c07_a_table_that_no_app_watches_any_more_loses_its_triggers() -> Result<()> {
    let (pair, one, two) = two_apps().await?;
    as_installer(&two)?.uninstall(&["leeks.bed_id".to_owned()]).await?;
    assert_eq!(lines(&pair.main, TRIGGERS).await?, ["trees|lfk_1_d lfk_1_t lfk_1_u"]);
    as_installer(&two)?.uninstall(&["nests.tree_id".to_owned()]).await?;
    assert_eq!(lines(&pair.main, TRIGGERS).await?, ["trees|lfk_1_d lfk_1_t lfk_1_u"]);
    as_installer(&one)?.uninstall(&names(&one)).await?;
    for db in [&pair.main, &pair.ci] {
        assert!(
            db.scalar::<bool>("SELECT to_regnamespace('lfk') IS NULL").await?,
            "the schema goes with the last definition"
        );
        assert!(lines(db, TRIGGERS).await?.is_empty());
    }
    pair.main.execute("DELETE FROM trees; DELETE FROM beds").await?;
    Ok(())
}

/// A role that owns its tables, may create schemas, and nothing else.
async fn owner(db: &TestDb, tables: &str) -> Result<String> {
    let owner = role(db, "owner").await?;
    db.execute(&format!("GRANT CREATE ON DATABASE {} TO {owner}", db.name)).await?;
    db.execute(&format!(
        "BEGIN; SET LOCAL ROLE {owner}; CREATE SCHEMA app; SET LOCAL search_path = app; {tables}; COMMIT"
    ))
    .await?;
    Ok(owner)
}

/// The garden and the harvest, owned by plain roles in schema app, and an engine that connects as these.
async fn owned() -> Result<(Pair, Engine)> {
    let pair = Pair::new().await?;
    let main = owner(&pair.main, GARDEN).await?;
    let ci = owner(&pair.ci, HARVEST).await?;
    let delete = lfk_core::LooseForeignKey::new("main:app.trees(id)", "ci:app.apples(tree_id)", OnDelete::Delete)?;
    let null = lfk_core::LooseForeignKey::new("main:app.trees(id)", "ci:app.nests(tree_id)", OnDelete::SetNull)?;
    let urls = [("main", url_as(&pair.main, &main)), ("ci", url_as(&pair.ci, &ci))];
    let urls: Vec<(&str, &str)> = urls.iter().map(|(name, url)| (*name, url.as_str())).collect();
    let engine = engine(&urls, [delete, null])?;
    Ok((pair, engine))
}

#[tokio::test]
async fn c07_a_plain_owner_of_the_tables_installs_works_and_uninstalls() -> Result<()> {
    let (pair, engine) = owned().await?;
    assert!(!engine.plan().await?.is_refused());
    engine.install().await?;
    activate(&engine).await?;
    pair.main.execute("DELETE FROM app.trees WHERE id = 1; UPDATE app.trees SET id = 20 WHERE id = 2").await?;
    drain(&engine).await?;
    assert_eq!(rows(&pair.ci, "app.apples").await?, ["30|3"]);
    assert_eq!(rows(&pair.ci, "app.nests").await?, ["10|NULL", "20|NULL", "30|3"]);
    engine.uninstall(&names(&engine)).await?;
    for db in [&pair.main, &pair.ci] {
        assert!(db.scalar::<bool>("SELECT to_regnamespace('lfk') IS NULL").await?);
    }
    Ok(())
}

#[tokio::test]
async fn c07_everything_that_a_plain_owner_installs_is_its_own() -> Result<()> {
    let (pair, engine) = owned().await?;
    engine.install().await?;
    for db in [&pair.main, &pair.ci] {
        let owners = "SELECT DISTINCT pg_get_userbyid(owner) FROM (
                        SELECT nspowner AS owner FROM pg_namespace WHERE nspname = 'lfk'
                        UNION ALL SELECT relowner FROM pg_class WHERE relnamespace = 'lfk'::regnamespace
                        UNION ALL SELECT proowner FROM pg_proc WHERE pronamespace = 'lfk'::regnamespace) o";
        assert_eq!(lines(db, owners).await?, [format!("{}_owner", db.name)]);
    }
    Ok(())
}

#[tokio::test]
async fn c02_an_app_role_beside_a_plain_owner_deletes_and_is_logged() -> Result<()> {
    let (pair, engine) = owned().await?;
    engine.install().await?;
    activate(&engine).await?;
    let app = role(&pair.main, "app").await?;
    pair.main
        .execute(&format!("GRANT USAGE ON SCHEMA app TO {app}; GRANT SELECT, DELETE ON app.trees TO {app}"))
        .await?;
    pair.main.execute(&format!("BEGIN; SET LOCAL ROLE {app}; DELETE FROM app.trees WHERE id = 3; COMMIT")).await?;
    drain(&engine).await?;
    assert_eq!(rows(&pair.ci, "app.apples").await?, ["10|1", "20|2"]);
    Ok(())
}

#[tokio::test]
async fn c02_hostile_defaults_of_the_databases_change_nothing() -> Result<()> {
    let pair = Pair::new().await?;
    in_both(&pair, GARDEN, HARVEST).await?;
    let settings = [
        "default_transaction_isolation = 'serializable'",
        "default_transaction_read_only = on",
        "default_transaction_deferrable = on",
        "standard_conforming_strings = off",
        "backslash_quote = off",
        "array_nulls = off",
        "transform_null_equals = on",
        "quote_all_identifiers = on",
        "row_security = on",
        "synchronous_commit = off",
        "search_path = ''",
        "statement_timeout = '1ms'",
        "lock_timeout = '1ms'",
        "idle_in_transaction_session_timeout = '1ms'",
        "plan_cache_mode = force_generic_plan",
        "enable_indexscan = off",
        "enable_indexonlyscan = off",
        "DateStyle = 'German'",
        "IntervalStyle = 'sql_standard'",
        "TimeZone = 'Pacific/Chatham'",
        "extra_float_digits = -15",
        "bytea_output = 'escape'",
        "plpgsql.extra_errors = 'all'",
        "plpgsql.variable_conflict = 'use_variable'",
    ];
    for db in [&pair.main, &pair.ci] {
        // All at once: the next session would already have them.
        db.execute(&settings.map(|s| format!("ALTER DATABASE {} SET {s};", db.name)).concat()).await?;
    }
    // An app has its own ideas.
    let (mut app, mut look) = (pair.main.connect().await?, pair.ci.connect().await?);
    for session in [&mut app, &mut look] {
        run(session, "SET statement_timeout = 0; SET lock_timeout = 0; SET default_transaction_read_only = off")
            .await?;
        run(session, "SET idle_in_transaction_session_timeout = 0; SET search_path = public").await?;
    }
    let delete = loose("trees(id)", "apples(tree_id)", OnDelete::Delete)?;
    let null = loose("trees(id)", "nests(tree_id)", OnDelete::SetNull)?;
    let engine = active(&pair, [delete, null]).await?;
    run(&mut app, "DELETE FROM trees WHERE id = 1; UPDATE trees SET id = 20 WHERE id = 2").await?;
    drain(&engine).await?;
    let apples: Vec<i32> = sqlx::query_scalar("SELECT id FROM apples").fetch_all(&mut look).await?;
    assert_eq!(apples, [30]);
    let nests: Vec<Option<i64>> =
        sqlx::query_scalar("SELECT tree_id FROM nests ORDER BY id").fetch_all(&mut look).await?;
    assert_eq!(nests, [None, None, Some(3)]);
    as_installer(&engine)?.uninstall(&names(&engine)).await?;
    Ok(())
}
