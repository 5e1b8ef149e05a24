//! C2: whoever deletes, with whatever rights and settings: the delete passes and its keys are logged.

use anyhow::Result;
use lfk_tests::TestDb;

use crate::capture_support::{database, forget, fruits, logged, role, rows, run};

/// A role that may delete fruits and nothing else.
async fn app_role(db: &TestDb) -> Result<String> {
    let app = role(db, "app").await?;
    db.execute(&format!("GRANT SELECT, INSERT, UPDATE, DELETE, TRUNCATE ON ALL TABLES IN SCHEMA public TO {app}"))
        .await?;
    Ok(app)
}

#[tokio::test]
async fn c02_a_role_without_rights_on_lfk_deletes_and_is_logged() -> Result<()> {
    let db = fruits().await?;
    let app = app_role(&db).await?;
    let as_app = format!("BEGIN; SET LOCAL ROLE {app};");
    db.execute(&format!("{as_app} DELETE FROM fruits WHERE id = 1; COMMIT")).await?;
    db.execute(&format!("{as_app} UPDATE fruits SET id = 20 WHERE id = 2; COMMIT")).await?;
    db.execute(&format!("{as_app} TRUNCATE fruits; COMMIT")).await?;
    assert_eq!(logged(&db).await?, ["fruits d 1", "fruits t", "fruits u 2"]);
    Ok(())
}

#[tokio::test]
async fn c02_a_role_without_rights_neither_reads_the_log_nor_calls_our_functions() -> Result<()> {
    let db = fruits().await?;
    let app = app_role(&db).await?;
    // Even a role that somebody let into the schema.
    db.execute(&format!("GRANT USAGE ON SCHEMA lfk TO {app}")).await?;
    let forbidden = [
        "SELECT * FROM lfk.key_log",
        "INSERT INTO lfk.key_log (table_id, op, keys) VALUES (1, 'd', '{1}')",
        "SELECT * FROM lfk.cover()",
        "SELECT * FROM lfk.restore_leaves()",
        "SELECT lfk.track('fruits', '{name}')",
        "SELECT lfk.untrack(1)",
        "CREATE TABLE mine (id int); CREATE TRIGGER t AFTER DELETE ON mine EXECUTE FUNCTION lfk.lfk_1_t()",
    ];
    db.execute(&format!("GRANT CREATE ON SCHEMA public TO {app}")).await?;
    for sql in forbidden {
        let mut session = db.connect().await?;
        sqlx::query("SELECT set_config('role', $1, false)").bind(&app).execute(&mut session).await?;
        let refused = run(&mut session, sql).await.expect_err(sql);
        assert!(format!("{refused:#}").contains("permission denied"), "{sql}: {refused:#}");
    }
    Ok(())
}

/// Things of the same names as those that the trigger uses, each of which gives itself away.
const EVIL: &str = "
    CREATE SCHEMA evil;
    CREATE TABLE evil.key_log (table_id int, op text, keys bigint[], tkeys text[]);
    CREATE TABLE evil.lfk_old (id bigint, name text); INSERT INTO evil.lfk_old VALUES (666, 'apple');
    CREATE TABLE evil.lfk_new (id bigint, name text);
    CREATE TABLE evil.pg_attribute (attrelid oid, attname name, attisdropped boolean, atttypid oid);
    CREATE FUNCTION evil.trap(text) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'hijacked by %', $1; END $$;
    CREATE FUNCTION evil.current_setting(text) RETURNS text LANGUAGE sql AS $$ SELECT evil.trap('current_setting')::text $$;
    CREATE FUNCTION evil.cardinality(bigint[]) RETURNS int LANGUAGE sql AS $$ SELECT evil.trap('cardinality')::int $$;
    CREATE FUNCTION evil.unnest(bigint[]) RETURNS SETOF bigint LANGUAGE sql AS $$ SELECT 666::bigint WHERE evil.trap('unnest') $$;
    CREATE FUNCTION evil.step(bigint, bigint) RETURNS bigint LANGUAGE sql AS $$ SELECT 666::bigint WHERE evil.trap('aggregate') $$;
    CREATE FUNCTION evil.step(bigint) RETURNS bigint LANGUAGE sql AS $$ SELECT 666::bigint WHERE evil.trap('count') $$;
    CREATE FUNCTION evil.step(boolean, boolean) RETURNS boolean LANGUAGE sql AS $$ SELECT evil.trap('bool_and') $$;
    CREATE AGGREGATE evil.array_agg(bigint) (SFUNC = evil.step, STYPE = bigint);
    CREATE AGGREGATE evil.count(*) (SFUNC = evil.step, STYPE = bigint, INITCOND = '0');
    CREATE AGGREGATE evil.bool_and(boolean) (SFUNC = evil.step, STYPE = boolean, INITCOND = 'true');
    CREATE FUNCTION evil.eq(bigint, bigint) RETURNS boolean LANGUAGE sql AS $$ SELECT evil.trap('=') $$;
    CREATE FUNCTION evil.eq(int, bigint) RETURNS boolean LANGUAGE sql AS $$ SELECT evil.trap('=') $$;
    CREATE FUNCTION evil.eq(name, name) RETURNS boolean LANGUAGE sql AS $$ SELECT evil.trap('=') $$;
    CREATE FUNCTION evil.eq(oid, oid) RETURNS boolean LANGUAGE sql AS $$ SELECT evil.trap('=') $$;
    CREATE FUNCTION evil.eq(int, int) RETURNS boolean LANGUAGE sql AS $$ SELECT evil.trap('=') $$;
    CREATE OPERATOR evil.= (LEFTARG = bigint, RIGHTARG = bigint, FUNCTION = evil.eq);
    CREATE OPERATOR evil.= (LEFTARG = int, RIGHTARG = bigint, FUNCTION = evil.eq);
    CREATE OPERATOR evil.= (LEFTARG = name, RIGHTARG = name, FUNCTION = evil.eq);
    CREATE OPERATOR evil.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = evil.eq);
    CREATE OPERATOR evil.= (LEFTARG = int, RIGHTARG = int, FUNCTION = evil.eq);
    CREATE OPERATOR evil.<= (LEFTARG = int, RIGHTARG = int, FUNCTION = evil.eq)";

/// Deletes, updates and truncates with this search path, in a session of its own, and expects every key in the log.
async fn works_with_search_path(path: &str) -> Result<()> {
    let db = fruits().await?;
    db.execute(EVIL).await?;
    let mut session = db.connect().await?;
    sqlx::query("SELECT set_config('search_path', $1, false)").bind(path).execute(&mut session).await?;
    run(&mut session, "UPDATE public.fruits SET id = -id; DELETE FROM public.fruits; TRUNCATE public.fruits").await?;
    let expected = [
        "fruits d -1",
        "fruits d -2",
        "fruits d -3",
        "fruits d -4",
        "fruits t",
        "fruits u 1",
        "fruits u 2",
        "fruits u 3",
        "fruits u 4",
    ];
    assert_eq!(logged(&db).await?, expected, "{path}");
    assert!(rows(&db, "evil.key_log").await?.is_empty());
    Ok(())
}

#[tokio::test]
async fn c02_a_hostile_search_path_changes_nothing() -> Result<()> {
    works_with_search_path("evil, pg_catalog, public").await
}

#[tokio::test]
async fn c02_an_empty_search_path_changes_nothing() -> Result<()> {
    works_with_search_path("").await
}

#[tokio::test]
async fn c02_a_search_path_of_missing_schemas_changes_nothing() -> Result<()> {
    works_with_search_path("nowhere, \"$user\", \"no where\", pg_temp").await
}

#[tokio::test]
async fn c02_a_trigger_that_followed_the_hostile_search_path_would_give_itself_away() -> Result<()> {
    let db = fruits().await?;
    db.execute(EVIL).await?;
    for (function, statement) in [("lfk_1_d", "DELETE FROM fruits"), ("lfk_1_u", "UPDATE fruits SET id = -id")] {
        db.execute(&format!("ALTER FUNCTION lfk.{function}() SET search_path = evil, pg_catalog")).await?;
        let error = db.execute(statement).await.expect_err("it uses what is in schema evil");
        assert!(format!("{error:#}").contains("hijacked by"), "{error:#}");
    }
    Ok(())
}

#[tokio::test]
async fn c02_temporary_objects_of_our_names_change_nothing() -> Result<()> {
    let db = fruits().await?;
    let mut session = db.connect().await?;
    run(
        &mut session,
        "CREATE TEMP TABLE lfk_old (id bigint, name text); INSERT INTO lfk_old VALUES (666, 'apple');
         CREATE TEMP TABLE lfk_new (id bigint, name text);
         CREATE TEMP TABLE key_log (table_id int, op text, keys bigint[]);
         CREATE TEMP TABLE pg_attribute (attrelid oid, attname name, attisdropped boolean, atttypid oid);
         CREATE FUNCTION pg_temp.trap(bigint[], bigint) RETURNS bigint[] LANGUAGE plpgsql AS
           $$ BEGIN RAISE EXCEPTION 'hijacked'; END $$;
         CREATE AGGREGATE pg_temp.array_agg(bigint) (SFUNC = pg_temp.trap, STYPE = bigint[]);
         SET search_path = pg_temp, public, pg_catalog;
         DELETE FROM fruits WHERE name = 'apple';
         UPDATE fruits SET id = 20 WHERE name = 'pear'",
    )
    .await?;
    assert_eq!(logged(&db).await?, ["fruits d 1", "fruits u 2"]);
    run(&mut session, "INSERT INTO fruits SELECT n, 'seed' FROM generate_series(1001, 3000) n; DELETE FROM fruits")
        .await?;
    assert_eq!(logged(&db).await?.len(), 2 + 2003, "also where keys are aggregated");
    Ok(())
}

#[tokio::test]
async fn c02_row_level_security_of_the_table_hides_no_key_and_adds_none() -> Result<()> {
    let db = fruits().await?;
    let app = app_role(&db).await?;
    db.execute(
        "ALTER TABLE fruits ENABLE ROW LEVEL SECURITY; ALTER TABLE fruits FORCE ROW LEVEL SECURITY;
         CREATE POLICY no_plums ON fruits USING (name <> 'plum')",
    )
    .await?;
    db.execute(&format!("BEGIN; SET LOCAL ROLE {app}; DELETE FROM fruits; COMMIT")).await?;
    assert_eq!(logged(&db).await?, ["fruits d 1", "fruits d 2", "fruits d 4"]);
    assert_eq!(rows(&db, "fruits").await?, ["3|plum"]);
    Ok(())
}

#[tokio::test]
async fn c02_row_level_security_on_the_log_does_not_stop_the_app() -> Result<()> {
    let db = fruits().await?;
    let app = app_role(&db).await?;
    // Some teams have it switched on for every table.
    db.execute(
        "DO $$ DECLARE t regclass; BEGIN
           FOR t IN SELECT oid FROM pg_class WHERE relnamespace = 'lfk'::regnamespace AND relkind IN ('r', 'p') LOOP
             EXECUTE format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY', t);
           END LOOP;
         END $$",
    )
    .await?;
    db.execute(&format!("BEGIN; SET LOCAL ROLE {app}; DELETE FROM fruits WHERE id = 1; COMMIT")).await?;
    assert_eq!(logged(&db).await?, ["fruits d 1"]);
    Ok(())
}

#[tokio::test]
async fn c02_stricter_isolation_levels_log_the_same() -> Result<()> {
    for level in ["REPEATABLE READ", "SERIALIZABLE"] {
        let db = fruits().await?;
        db.execute(&format!(
            "BEGIN ISOLATION LEVEL {level};
             DELETE FROM fruits WHERE id = 1;
             UPDATE fruits SET id = 20 WHERE id = 2;
             UPDATE fruits SET name = 'prune' WHERE id = 3;
             COMMIT"
        ))
        .await?;
        assert_eq!(logged(&db).await?, ["fruits d 1", "fruits u 2"], "{level}");
    }
    Ok(())
}

#[tokio::test]
async fn c02_odd_settings_of_the_session_change_nothing() -> Result<()> {
    let db = fruits().await?;
    forget(&db).await?;
    let mut session = db.connect().await?;
    run(
        &mut session,
        "SET standard_conforming_strings = off; SET escape_string_warning = on; SET backslash_quote = off;
         SET transform_null_equals = on; SET array_nulls = off; SET quote_all_identifiers = on;
         SET plpgsql.extra_errors = 'all'; SET plpgsql.extra_warnings = 'all'; SET check_function_bodies = off;
         SET plpgsql.variable_conflict = 'use_variable'; SET row_security = off; SET bytea_output = 'escape';
         SET DateStyle = 'German'; SET TimeZone = 'Pacific/Chatham'; SET work_mem = '64kB'; SET temp_buffers = '1MB';
         SET plan_cache_mode = force_generic_plan; SET enable_seqscan = off; SET enable_indexscan = off;
         SET max_parallel_workers_per_gather = 8; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0;
         SET session_replication_role = origin",
    )
    .await?;
    run(&mut session, "INSERT INTO fruits SELECT n, 'seed' FROM generate_series(1001, 4000) n").await?;
    run(&mut session, "UPDATE fruits SET id = id + 10000 WHERE name = 'seed'").await?;
    run(&mut session, "DELETE FROM fruits").await?;
    assert_eq!(logged(&db).await?.len(), 3000 + 3004);
    Ok(())
}

#[tokio::test]
async fn c02_key_columns_with_the_names_of_our_variables_are_logged() -> Result<()> {
    let db = database(
        "CREATE TABLE clash (ks bigint, k bigint, fits text, q text, k1 int, UNIQUE (ks, fits, k1), UNIQUE (k));
         INSERT INTO clash VALUES (1, 10, 'yes', 'a', 100), (2, 20, 'no', 'b', 200)",
        &[("clash", "{ks,fits,k1}"), ("clash", "{k}")],
    )
    .await?;
    db.execute("DELETE FROM clash WHERE ks = 1; UPDATE clash SET fits = 'maybe', k = 21").await?;
    assert_eq!(logged(&db).await?, ["clash d 1/yes/100", "clash d 10", "clash u 2/no/200", "clash u 20"]);
    Ok(())
}
