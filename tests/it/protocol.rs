//! The worker states the settings of every transaction itself: whatever the role, the database or the application's
//! defaults are, the same happens. And what it does where it cannot go on in the log.

use anyhow::{Context as _, Result};
use lfk_core::{Drained, Engine, ErrorKind, LooseForeignKey, OnDelete, State};
use lfk_sql::Ident;
use lfk_tests::scenario::{PATIENCE, activate, active, as_installer, drain, installed, loose};
use lfk_tests::{Pair, engine, eventually};
use sqlx::{Connection as _, PgConnection};

use crate::clean_support::{ALL_BUILDS, BUILDS, PROJECTS, status, table};

fn builds() -> Result<LooseForeignKey> {
    loose("projects(id)", "builds(project_id)", OnDelete::Delete)
}

/// The builds of projects 2 and 3, and the one of nobody.
const WITHOUT_THE_FIRST: [&str; 3] = ["(21,2,0)", "(31,3,)", "(90,,0)"];

/// A role that owns both databases, with these settings on both sides, and an engine that connects as it.
async fn engine_as(pair: &Pair, settings: &[(&str, &str)], definition: LooseForeignKey) -> Result<Engine> {
    let role = format!("owner_of_{}", pair.main.name);
    let mut urls = Vec::new();
    for db in [&pair.main, &pair.ci] {
        let name = &db.name;
        db.execute(&format!(
            "CREATE ROLE {role} LOGIN;
             ALTER DATABASE {name} OWNER TO {role};
             DO $$ DECLARE t text; BEGIN
               FOR t IN SELECT oid::regclass FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' LOOP
                 EXECUTE 'ALTER TABLE ' || t || ' OWNER TO {role}';
               END LOOP;
             END $$"
        ))
        .await?;
        for (setting, value) in settings {
            db.execute(&format!("ALTER ROLE {role} IN DATABASE {name} SET {setting} = {value}")).await?;
        }
        urls.push(db.url.replace("//postgres@", &format!("//{role}@")));
    }
    engine(&[("main", &urls[0]), ("ci", &urls[1])], [definition])
}

/// Everything from the installation to the drained log, as a role with these settings.
async fn works_under(settings: &[(&str, &str)]) -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    works_on(&pair, settings).await
}

async fn works_on(pair: &Pair, settings: &[(&str, &str)]) -> Result<()> {
    let engine = engine_as(pair, settings, builds()?).await?;
    engine.install().await?;
    activate(&engine).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, WITHOUT_THE_FIRST);
    assert_eq!(table(&pair.ci, "bystanders").await?, ALL_BUILDS);
    assert_eq!(table(&pair.main, "projects").await?, ["(2,two)", "(3,three)"]);
    assert_eq!(status(&engine).await?.rows_affected_total, 2);
    Ok(())
}

#[tokio::test]
async fn l13_a_role_that_is_serializable_by_default_changes_nothing() -> Result<()> {
    works_under(&[("default_transaction_isolation", "serializable"), ("default_transaction_deferrable", "on")]).await
}

#[tokio::test]
async fn l13_a_role_of_repeatable_reads_changes_nothing() -> Result<()> {
    works_under(&[("default_transaction_isolation", "'repeatable read'")]).await
}

#[tokio::test]
async fn l13_a_role_that_is_read_only_by_default_changes_nothing() -> Result<()> {
    works_under(&[("default_transaction_read_only", "on")]).await
}

#[tokio::test]
async fn l13_impatient_timeouts_of_the_role_change_nothing() -> Result<()> {
    let one = "'1ms'";
    works_under(&[("statement_timeout", one), ("lock_timeout", one), ("idle_in_transaction_session_timeout", one)])
        .await
}

#[tokio::test]
async fn l13_unusual_formats_of_the_role_change_nothing() -> Result<()> {
    works_under(&[
        ("DateStyle", "'German, DMY'"),
        ("IntervalStyle", "sql_standard"),
        ("TimeZone", "'Asia/Kathmandu'"),
        ("bytea_output", "escape"),
        ("extra_float_digits", "-15"),
        ("array_nulls", "off"),
        ("transform_null_equals", "on"),
        ("quote_all_identifiers", "on"),
        ("row_security", "on"),
    ])
    .await
}

#[tokio::test]
async fn l13_a_planner_that_is_turned_upside_down_changes_nothing() -> Result<()> {
    works_under(&[
        ("jit", "on"),
        ("jit_above_cost", "0"),
        ("enable_indexscan", "off"),
        ("enable_indexonlyscan", "off"),
        ("enable_nestloop", "off"),
        ("plan_cache_mode", "force_generic_plan"),
        ("parallel_setup_cost", "0"),
        ("parallel_tuple_cost", "0"),
        ("min_parallel_table_scan_size", "0"),
    ])
    .await
}

/// Functions, operators and tables in front of the real ones. Whoever uses one of them fails or answers wrongly.
const EVIL: &str = "
    CREATE SCHEMA evil;
    GRANT USAGE ON SCHEMA evil TO PUBLIC;
    CREATE FUNCTION evil.broken() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil'; END $$;
    CREATE FUNCTION evil.equal(bigint, bigint) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil'; END $$;
    CREATE OPERATOR evil.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = evil.equal);
    CREATE FUNCTION evil.less(timestamptz, timestamptz) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil'; END $$;
    CREATE OPERATOR evil.< (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = evil.less);
    CREATE FUNCTION evil.unnest(text[]) RETURNS SETOF text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil'; END $$;
    CREATE FUNCTION evil.unnest(bigint[]) RETURNS SETOF bigint LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil'; END $$;
    CREATE FUNCTION evil.to_timestamp(float8) RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil'; END $$;
    CREATE FUNCTION evil.statement_timestamp() RETURNS timestamptz LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil'; END $$;
    CREATE FUNCTION evil.current_setting(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil'; END $$;
    CREATE FUNCTION evil.pg_is_in_recovery() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'evil'; END $$;
    CREATE TABLE evil.pg_trigger (evil int);
    CREATE TABLE evil.pg_class (evil int);";

#[tokio::test]
async fn l13_a_hostile_search_path_of_the_role_changes_nothing() -> Result<()> {
    let evil_projects = "CREATE TABLE evil.projects AS SELECT id, name FROM public.projects;";
    let evil_builds = "CREATE TABLE evil.builds AS SELECT * FROM public.builds;";
    let main = format!("{PROJECTS} {EVIL} {evil_projects}");
    let pair = Pair::with_schema(&main, &format!("{BUILDS} {EVIL} {evil_builds}")).await?;
    works_on(&pair, &[("search_path", "evil, pg_catalog, public")]).await?;
    // Whoever does not say which operator is meant falls into the trap.
    let role = pair.ci.url.replace("//postgres@", &format!("//owner_of_{}@", pair.main.name));
    let mut trapped = PgConnection::connect(&role).await?;
    assert!(sqlx::query("SELECT 1::bigint = 1::bigint").execute(&mut trapped).await.is_err());
    assert_eq!(table(&pair.ci, "evil.builds").await?, ALL_BUILDS);
    Ok(())
}

#[tokio::test]
async fn l01_values_with_backslashes_and_quotes_are_set_whatever_strings_mean_to_the_role() -> Result<()> {
    let notes = r"CREATE TABLE notes (id bigint PRIMARY KEY, project_id bigint, kind text, text text);
        CREATE INDEX ON notes (project_id);
        INSERT INTO notes VALUES (1, 1, E'a\\b''c', 'one'), (2, 1, 'other', 'one'), (3, 2, E'a\\b''c', 'two')";
    let pair = Pair::with_schema(PROJECTS, notes).await?;
    let set = OnDelete::Set(vec![(Ident::new("text")?, Some(r"C:\new 'n'".to_owned()))]);
    let definition = loose("projects(id)", "notes(project_id)", set)?.only_where("kind", r"a\b'c")?;
    let settings = [("standard_conforming_strings", "off"), ("backslash_quote", "on")];
    let engine = engine_as(&pair, &settings, definition).await?;
    engine.install().await?;
    activate(&engine).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    drain(&engine).await?;
    let notes = pair.ci.rows("SELECT id, kind, text FROM notes ORDER BY id").await?;
    let rows = [["1", r"a\b'c", r"C:\new 'n'"], ["2", "other", "one"], ["3", r"a\b'c", "two"]];
    assert_eq!(notes, rows.map(|row| row.map(|value| Some(value.to_owned()))));
    Ok(())
}

/// Runs the engine as the daemon does, which does not plan, until it says that the definition is blocked. Answers why.
async fn blocked(engine: &Engine) -> Result<String> {
    let handle = engine.start();
    eventually("it is blocked", PATIENCE, async || Ok(status(engine).await?.condition == "blocked")).await?;
    handle.shutdown().await?;
    status(engine).await?.note.context("blocked without a note")
}

#[tokio::test]
async fn l12_where_triggers_would_be_silent_nothing_is_written_and_the_reason_is_said() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = engine_as(&pair, &[], builds()?).await?;
    engine.install().await?;
    activate(&engine).await?;
    let (role, ci) = (format!("owner_of_{}", pair.main.name), &pair.ci.name);
    // Its pool has no connection yet that was made before.
    let later = engine_of(&pair, &role)?;
    pair.ci.execute(&format!("ALTER ROLE {role} IN DATABASE {ci} SET session_replication_role = replica")).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;

    let note = blocked(&later).await?;
    assert!(note.contains("session_replication_role is not origin"), "{note}");
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS);

    pair.ci.execute(&format!("ALTER ROLE {role} IN DATABASE {ci} RESET session_replication_role")).await?;
    drain(&engine_of(&pair, &role)?).await?;
    assert_eq!(table(&pair.ci, "builds").await?, WITHOUT_THE_FIRST);
    Ok(())
}

fn engine_of(pair: &Pair, role: &str) -> Result<Engine> {
    let url = |url: &str| url.replace("//postgres@", &format!("//{role}@"));
    engine(&[("main", &url(&pair.main.url)), ("ci", &url(&pair.ci.url))], [builds()?])
}

#[tokio::test]
async fn l05_a_new_cursor_begins_with_everything_that_the_log_holds() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = installed(pair.engine([builds()?])?).await?;
    // As after a crash between the triggers and the cursor.
    pair.main.execute("DELETE FROM lfk.definition").await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    assert_eq!(as_installer(&engine)?.install().await?[0].state, State::Observe);
    pair.main.execute("DELETE FROM projects WHERE id = 2").await?;
    drain(&engine).await?;
    assert_eq!(status(&engine).await?.observed_keys, 2);
    activate(&engine).await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(31,3,)", "(90,,0)"]);
    Ok(())
}

#[tokio::test]
async fn f06_an_entry_of_a_newer_version_is_left_in_place_and_said() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [builds()?]).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    pair.main
        .execute("INSERT INTO lfk.key_log (table_id, op, keys) SELECT table_id, 'z', '{2}' FROM lfk.tracked")
        .await?;
    pair.main.execute("DELETE FROM projects WHERE id IN (2, 3)").await?;
    let log = table(&pair.main, "lfk.key_log").await?;

    for _ in 0..2 {
        let error = engine.run_until_drained(Some(PATIENCE)).await.err().context("it passed the entry")?;
        assert_eq!(error.kind, ErrorKind::NotInstalled);
        assert!(error.message.contains("an entry that this version does not know"), "{error}");
        let note = status(&engine).await?.note.context("no note")?;
        assert!(note.contains("an entry that this version does not know; it is left in place"), "{note}");
        assert_eq!(table(&pair.ci, "builds").await?, WITHOUT_THE_FIRST);
    }
    assert_eq!(table(&pair.main, "lfk.key_log").await?, log);
    Ok(())
}

#[tokio::test]
async fn l16_the_switch_can_be_turned_by_sql_alone() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [builds()?]).await?;
    pair.main.execute("UPDATE lfk.control SET stopped = true; DELETE FROM projects WHERE id = 1").await?;
    assert_eq!(engine.run_until_drained(Some(PATIENCE)).await?, Drained::NeedsAttention);
    assert_eq!(status(&engine).await?.condition, "stopped");
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS);
    pair.main.execute("UPDATE lfk.control SET stopped = false").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, WITHOUT_THE_FIRST);
    Ok(())
}
