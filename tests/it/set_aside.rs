//! Keys set aside: how long they wait, when they are given up, and what a person may do about them.

use anyhow::{Context as _, Result};
use lfk_core::{Drained, Engine, LooseForeignKey, OnDelete, SetAsideFilter};
use lfk_tests::scenario::{PATIENCE, active, drain, loose, roles_of};
use lfk_tests::{Cli, Pair, TestDb, eventually};
use serde_json::json;

use crate::clean_support::{
    ALL_BUILDS, BUILDS, PROJECTS, THOUSAND_BUILDS, THOUSAND_PROJECTS, activated, builder, retries, status, table,
};

const NAME: &str = "builds.project_id";

const DEFINITION: &str = "[[loose_foreign_key]]
parent = \"main:public.projects(id)\"
child = \"ci:public.builds(project_id)\"
on_delete = \"delete\"";

/// Something that the server will not let go of: build 21, a child of project 2.
const STEPS: &str = "CREATE TABLE steps (build_id bigint REFERENCES builds); INSERT INTO steps VALUES (21);";

fn builds() -> Result<LooseForeignKey> {
    loose("projects(id)", "builds(project_id)", OnDelete::Delete)
}

fn everything() -> SetAsideFilter {
    SetAsideFilter::default()
}

/// Projects 1 and 2 are deleted; project 2 is in quarantine.
async fn quarantined() -> Result<(Pair, Engine)> {
    let pair = Pair::with_schema(PROJECTS, &format!("{BUILDS} {STEPS}")).await?;
    let engine = activated(builder(&pair)?.quarantine_after(2), [builds()?]).await?;
    pair.main.execute("DELETE FROM projects WHERE id IN (1, 2)").await?;
    assert_eq!(engine.run_until_drained(Some(PATIENCE)).await?, Drained::NeedsAttention);
    assert_eq!(retries(&pair.main).await?, ["({2},poisoned,23503,t)"]);
    assert_eq!(table(&pair.ci, "builds").await?, ["(21,2,0)", "(31,3,)", "(90,,0)"]);
    Ok((pair, engine))
}

#[tokio::test]
async fn l08_waits_double_with_jitter_until_the_key_is_quarantined_and_others_are_done() -> Result<()> {
    let steps = "CREATE TABLE steps (build_id bigint REFERENCES builds); INSERT INTO steps VALUES (617)";
    let pair = Pair::with_schema(THOUSAND_PROJECTS, &format!("{THOUSAND_BUILDS} {steps}")).await?;
    let engine = activated(builder(&pair)?.quarantine_after(6), [builds()?]).await?;
    pair.main.execute("DELETE FROM projects").await?;
    let handle = engine.start();
    for attempt in 1..=6_u32 {
        let tried = format!("SELECT count(*) FROM lfk.retry WHERE attempts = {attempt}");
        eventually("it is tried", PATIENCE, async || Ok(pair.main.scalar::<i64>(&tried).await? == 1)).await?;
        let row = "SELECT extract(epoch FROM not_before - tried_at)::float8 FROM lfk.retry";
        let wait: f64 = pair.main.scalar(row).await?;
        let doubled = f64::from(2_u32.pow(attempt - 1));
        assert!((doubled - 0.01..doubled * 1.25 + 0.01).contains(&wait), "attempt {attempt}: {wait} s");
        let quarantined = "SELECT quarantined_at IS NOT NULL FROM lfk.retry";
        assert_eq!(pair.main.scalar::<bool>(quarantined).await?, attempt == 6, "attempt {attempt}");
        // As if the wait were over.
        pair.main.execute("UPDATE lfk.retry SET not_before = '-infinity'").await?;
    }
    // The handle still works, and leaves what is in quarantine alone.
    pair.main.execute("INSERT INTO projects VALUES (1); DELETE FROM projects").await?;
    eventually("the log is read", PATIENCE, async || Ok(status(&engine).await?.pending_keys == 0)).await?;
    handle.shutdown().await?;
    assert_eq!(pair.main.scalar::<i32>("SELECT attempts FROM lfk.retry").await?, 6);
    assert_eq!(table(&pair.ci, "builds").await?, ["(617,617)"]);
    Ok(())
}

#[tokio::test]
async fn l08_what_is_denied_for_the_sake_of_one_key_blocks_no_other() -> Result<()> {
    let pair = Pair::with_schema(THOUSAND_PROJECTS, THOUSAND_BUILDS).await?;
    pair.ci
        .execute(
            "CREATE FUNCTION denied() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE 'permission denied for archive' USING ERRCODE = '42501'; END $$;
             CREATE TRIGGER denied BEFORE DELETE ON builds FOR EACH ROW WHEN (OLD.id = 617) EXECUTE FUNCTION denied()",
        )
        .await?;
    let engine = activated(builder(&pair)?.quarantine_after(2), [builds()?]).await?;
    pair.main.execute("DELETE FROM projects").await?;
    assert_eq!(engine.run_once().await?, Drained::Drained);
    assert_eq!(retries(&pair.main).await?, ["({617},poisoned,42501,f)"]);
    // Alone, and still nobody else is held up by it.
    assert_eq!(engine.run_until_drained(Some(PATIENCE)).await?, Drained::NeedsAttention);
    assert_eq!(retries(&pair.main).await?, ["({617},poisoned,42501,t)"]);
    assert_eq!(table(&pair.ci, "builds").await?, ["(617,617)"]);
    assert_eq!(status(&engine).await?.condition, "ok");
    Ok(())
}

#[tokio::test]
async fn l08_only_attempts_that_failed_by_the_keys_own_fault_lead_to_quarantine() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, &format!("{BUILDS} {STEPS}")).await?;
    let engine = activated(builder(&pair)?.quarantine_after(2), [builds()?]).await?;
    let mut application = pair.ci.connect().await?;
    sqlx::raw_sql("BEGIN; SELECT FROM builds WHERE id = 21 FOR UPDATE").execute(&mut application).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 2").await?;
    for _ in 0..3 {
        engine.run_once().await?;
        pair.main.execute("UPDATE lfk.retry SET not_before = '-infinity'").await?;
    }
    assert_eq!(retries(&pair.main).await?, ["({2},locked,55P03,f)"]);
    sqlx::raw_sql("COMMIT").execute(&mut application).await?;
    engine.run_once().await?;
    assert_eq!(retries(&pair.main).await?, ["({2},poisoned,23503,f)"], "its first own failure is not its last");
    pair.main.execute("UPDATE lfk.retry SET not_before = '-infinity'").await?;
    engine.run_once().await?;
    assert_eq!(retries(&pair.main).await?, ["({2},poisoned,23503,t)"]);
    Ok(())
}

#[tokio::test]
async fn l08_what_is_quarantined_is_listed_with_its_error_and_tried_again_when_told() -> Result<()> {
    let (pair, engine) = quarantined().await?;
    let cli = Cli::for_pair(&pair, DEFINITION)?;
    let list = ["retry", "list", "--quarantined", "--format", "json"];
    let json = cli.run(list).await?.expect(0).json()?;
    let one = &json["set_aside"][0];
    assert_eq!((&one["name"], &one["key"], &one["reason"]), (&json!(NAME), &json!(["2"]), &json!("poisoned")));
    assert_eq!((&one["attempts"], &one["sqlstate"], &one["lane"]), (&json!(2), &json!("23503"), &json!("head")));
    assert!(one["error"].as_str().is_some_and(|e| e.contains("steps_build_id_fkey")), "{one}");
    assert!(one["quarantined_at"].as_str().is_some_and(|at| at.ends_with('Z')), "{one}");
    assert_eq!((json["set_aside"].as_array().map(Vec::len), &json["more"]), (Some(1), &json!(false)));
    let text = cli.run(["retry", "list", NAME]).await?.expect(0).stdout;
    assert!(text.contains("poisoned") && text.contains("steps_build_id_fkey"), "{text}");

    pair.ci.execute("DROP TABLE steps").await?;
    drain(&engine).await.err().context("nobody has said that it may be tried")?;
    let done = cli.run(["retry", "now", NAME, "--quarantined", "--format", "json"]).await?.expect(0).json()?;
    assert_eq!(done, json!({ "loose_foreign_keys": [{ "name": NAME, "keys": 1, "left_alone": 0 }], "mirrors": [] }));
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(31,3,)", "(90,,0)"]);
    assert_eq!(cli.run(["retry", "list"]).await?.expect(0).stdout, "nothing is set aside\n");
    Ok(())
}

#[tokio::test]
async fn l08_a_key_is_dropped_only_when_confirmed_and_the_audit_says_so() -> Result<()> {
    let (pair, engine) = quarantined().await?;
    let cli = Cli::for_pair(&pair, DEFINITION)?;
    let refused = cli.run(["retry", "drop", "--all"]).await?.expect(2);
    assert!(refused.stderr.contains("--yes"), "{}", refused.stderr);
    assert_eq!(retries(&pair.main).await?.len(), 1);
    let other = cli.run(["retry", "drop", NAME, "--key", "3", "--yes"]).await?.expect(0);
    assert_eq!(other.stdout, format!("{NAME}: 0 keys dropped\n"));
    let dropped = cli.run(["-vv", "retry", "drop", NAME, "--key", "2", "--yes"]).await?.expect(0);
    assert_eq!(dropped.stdout, format!("{NAME}: 1 key dropped\n"));
    assert!(dropped.stderr.contains("keys set aside were dropped"), "{}", dropped.stderr);

    assert!(retries(&pair.main).await?.is_empty());
    assert_eq!(table(&pair.ci, "builds").await?, ["(21,2,0)", "(31,3,)", "(90,,0)"], "children stay");
    let audit = "(SELECT definition, detail, by FROM lfk.audit WHERE event LIKE 'retry%') a";
    let expected = format!(r#"({NAME},"{{""keys"": 1, ""quarantined"": 1}}",{})"#, roles_of(&engine)?.worker);
    assert_eq!(table(&pair.main, audit).await?, [expected]);
    drain(&engine).await
}

#[tokio::test]
async fn l08_key_values_are_shown_by_the_list_and_nowhere_else() -> Result<()> {
    let parents = "CREATE TABLE projects (id text, region text, PRIMARY KEY (id, region));
        INSERT INTO projects VALUES ('sesame, open', 'eu'), ('plain', 'us')";
    let children = "CREATE TABLE builds (id int PRIMARY KEY, project_id text, region text);
        CREATE INDEX ON builds (project_id, region); CREATE TABLE steps (build_id int REFERENCES builds);
        INSERT INTO builds VALUES (1, 'sesame, open', 'eu'), (2, 'plain', 'us'); INSERT INTO steps VALUES (1), (2)";
    let pair = Pair::with_schema(parents, children).await?;
    let key = loose("projects(id, region)", "builds(project_id, region)", OnDelete::Delete)?.named("composite");
    let engine = activated(builder(&pair)?.quarantine_after(1), [key]).await?;
    pair.main.execute("DELETE FROM projects").await?;
    assert_eq!(engine.run_until_drained(Some(PATIENCE)).await?, Drained::NeedsAttention);

    let cli = Cli::for_pair(
        &pair,
        "[[loose_foreign_key]]\nname = \"composite\"\nparent = \"main:public.projects(id, region)\"
         child = \"ci:public.builds(project_id, region)\"\non_delete = \"delete\"",
    )?;
    let shown = r#"["sesame, open","eu"]"#;
    let list = cli.run(["-vv", "retry", "list"]).await?.expect(0);
    assert!(list.stdout.contains(shown) && !list.stderr.contains("sesame"), "{list:?}");
    cli.run(["retry", "now", "composite", "--key", "sesame, open"]).await?.expect(2);
    let now = cli.run(["-vv", "retry", "now", "composite", "--key", shown]).await?.expect(0);
    assert_eq!(now.stdout, "composite: 1 key made due\n");
    let run = cli.run(["-vv", "run", "--until-drained"]).await?.expect(3);
    let drop = cli.run(["-vv", "retry", "drop", "composite", "--key", shown, "--yes"]).await?.expect(0);
    for outcome in [&now, &run, &drop] {
        assert!(!outcome.stdout.contains("sesame") && !outcome.stderr.contains("sesame"), "{outcome:?}");
    }
    assert_eq!(retries(&pair.main).await?, ["(\"{plain,us}\",poisoned,23503,t)"]);
    assert_eq!(pair.main.scalar::<i64>("SELECT count(*) FROM lfk.audit a WHERE a::text LIKE '%sesame%'").await?, 0);
    let limited = engine.retries(&everything(), 0).await?;
    assert_eq!((limited.set_aside.len(), limited.more), (0, true));
    Ok(())
}

#[tokio::test]
async fn l08_suspects_of_a_sweep_are_listed_and_keep_their_wait() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [builds()?]).await?;
    pair.main.execute("TRUNCATE projects").await?;
    engine.run_once().await?;
    let suspects = engine.retries(&everything(), 10).await?.set_aside;
    let seen: Vec<(&str, &[String], i64)> =
        suspects.iter().map(|s| (s.reason.as_str(), s.key.as_slice(), s.attempts)).collect();
    let key = |n: &str| [n.to_owned()];
    assert_eq!(seen, [("suspect", &key("1")[..], 0), ("suspect", &key("2")[..], 0), ("suspect", &key("3")[..], 0)]);

    let waits = "SELECT array_agg(not_before ORDER BY key)::text FROM lfk.retry";
    let before: String = pair.main.scalar(waits).await?;
    let changes = engine.retry_now(&everything()).await?;
    assert_eq!((changes[0].keys, changes[0].left_alone), (0, 3));
    assert_eq!(pair.main.scalar::<String>(waits).await?, before);
    engine.run_once().await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS, "nothing is cleaned before its time");
    assert_eq!(pair.main.scalar::<i64>("SELECT count(*) FROM lfk.audit WHERE event = 'retry_now'").await?, 0);
    Ok(())
}

async fn again(main: &TestDb, sql: &str, engine: &Engine) -> Result<Vec<String>> {
    main.execute(sql).await?;
    engine.run_once().await?;
    retries(main).await
}

#[tokio::test]
async fn l08_a_quarantined_key_that_comes_again_is_tried_and_leaves_when_it_is_done() -> Result<()> {
    let (pair, engine) = quarantined().await?;
    let (insert, delete) = ("INSERT INTO projects VALUES (2, 'again')", "DELETE FROM projects WHERE id = 2");
    // Refused as before: it stays.
    assert_eq!(
        again(&pair.main, &format!("{insert}; {delete}"), &engine).await?,
        ["({2},poisoned,23503,t)"],
        "its quarantine lasts"
    );
    assert_eq!(pair.main.scalar::<i32>("SELECT attempts FROM lfk.retry").await?, 3);
    pair.ci.execute("DROP TABLE steps").await?;
    assert_eq!(again(&pair.main, &format!("{insert}; {delete}"), &engine).await?, [""; 0]);
    assert_eq!(table(&pair.ci, "builds").await?, ["(31,3,)", "(90,,0)"]);

    // A parent that is back owes nothing either, and its children stay.
    let (pair, engine) = quarantined().await?;
    assert_eq!(again(&pair.main, &format!("{insert}; {delete}; {insert}"), &engine).await?, [""; 0]);
    assert_eq!(table(&pair.ci, "builds").await?, ["(21,2,0)", "(31,3,)", "(90,,0)"]);
    drain(&engine).await
}
