//! What cannot be done is said, and no row of a living parent is touched meanwhile.

use anyhow::{Context as _, Result};
use lfk_core::{Drained, Engine, ErrorKind, LooseForeignKey, OnDelete};
use lfk_tests::scenario::{PATIENCE, activate, active, active_as_owner, drain, loose};
use lfk_tests::{Pair, engine, eventually};

use crate::clean_support::{
    ALL_BUILDS, BUILDS, PROJECTS, THOUSAND_BUILDS, THOUSAND_PROJECTS, activated, builder, retries, status, table,
};

fn builds() -> Result<LooseForeignKey> {
    loose("projects(id)", "builds(project_id)", OnDelete::Delete)
}

/// An installed and active engine that works as a role with no more rights than it needs, and the role's name.
async fn as_plain_role(pair: &Pair) -> Result<(Engine, String)> {
    let role = format!("worker_of_{}", pair.main.name);
    let mut urls = Vec::new();
    for (db, rights) in [
        (&pair.main, "SELECT, TRIGGER ON projects"),
        (&pair.ci, "SELECT (project_id, ctid), DELETE, UPDATE (project_id) ON builds"),
    ] {
        let name = &db.name;
        db.execute(&format!(
            "CREATE ROLE {role} LOGIN; GRANT CREATE ON DATABASE {name} TO {role}; GRANT {rights} TO {role}"
        ))
        .await?;
        urls.push(db.url.replace("//postgres@", &format!("//{role}@")));
    }
    let engine = engine(&[("main", &urls[0]), ("ci", &urls[1])], [builds()?])?;
    engine.install().await?;
    activate(&engine).await?;
    Ok((engine, role))
}

/// Runs the engine as the daemon does, which does not plan, until it says that the definition is blocked. Answers why.
async fn blocked(engine: &Engine) -> Result<String> {
    let handle = engine.start();
    eventually("it is blocked", PATIENCE, async || Ok(status(engine).await?.condition == "blocked")).await?;
    handle.shutdown().await?;
    status(engine).await?.note.context("blocked without a note")
}

#[tokio::test]
async fn l17_a_policy_that_hides_living_parents_is_an_error_and_no_absence() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let (engine, role) = as_plain_role(&pair).await?;
    // The policy comes after the installation, and project 2 comes back behind it.
    pair.main
        .execute("ALTER TABLE projects ENABLE ROW LEVEL SECURITY; CREATE POLICY hide ON projects USING (id <> 2)")
        .await?;
    pair.main.execute("DELETE FROM projects WHERE id IN (1, 2)").await?;
    pair.main.execute("INSERT INTO projects VALUES (2, 'again')").await?;

    let note = blocked(&engine).await?;
    assert!(note.contains("row-level security"), "{note}");
    let error = engine.run_until_drained(Some(PATIENCE)).await.err().context("it ran")?;
    assert_eq!(error.kind, ErrorKind::Refused, "{error}");
    assert!(error.hint.as_deref().is_some_and(|h| h.contains("BYPASSRLS")), "{:?}", error.hint);
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS);

    pair.main.execute(&format!("ALTER ROLE {role} BYPASSRLS")).await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    Ok(())
}

#[tokio::test]
async fn l17_a_policy_that_hides_children_is_an_error_and_no_emptiness() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let (engine, _) = as_plain_role(&pair).await?;
    pair.ci
        .execute("ALTER TABLE builds ENABLE ROW LEVEL SECURITY; CREATE POLICY hide ON builds USING (status = 0)")
        .await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    let note = blocked(&engine).await?;
    assert!(note.contains("row-level security"), "{note}");
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS);
    assert_eq!(status(&engine).await?.pending_keys, 1);
    Ok(())
}

#[tokio::test]
async fn s01_a_definition_that_was_changed_and_not_installed_is_blocked_where_alerts_see_it() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let installed = active(&pair, [builds()?]).await?;
    let changed = engine(
        &[("main", &pair.main.url), ("ci", &pair.ci.url)],
        [LooseForeignKey { on_delete: OnDelete::SetNull, ..builds()? }],
    )?;
    pair.main.execute("DELETE FROM projects WHERE id IN (1, 2)").await?;
    let note = blocked(&changed).await?;
    assert!(note.contains("another definition") && note.contains("lfk install"), "{note}");
    let alerts = "SELECT condition || ' ' || alert::text FROM lfk.health WHERE name = 'builds.project_id'";
    let alerts: String = pair.main.scalar(alerts).await?;
    assert!(alerts.starts_with("blocked") && alerts != "blocked {}", "{alerts}");
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS);

    drain(&installed).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(31,3,)", "(90,,0)"]);
    assert_eq!(status(&installed).await?.condition, "ok");
    Ok(())
}

#[tokio::test]
async fn l08_a_missing_right_blocks_the_definition_and_blames_no_key() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let (engine, role) = as_plain_role(&pair).await?;
    pair.ci.execute(&format!("REVOKE DELETE ON builds FROM {role}")).await?;
    pair.main.execute("DELETE FROM projects WHERE id IN (1, 2)").await?;
    let note = blocked(&engine).await?;
    assert!(note.contains("permission denied") && note.contains("\"ci\""), "{note}");
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS);
    assert_eq!(retries(&pair.main).await?, [""; 0]);

    pair.ci.execute(&format!("GRANT DELETE ON builds TO {role}")).await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(31,3,)", "(90,,0)"]);
    assert_eq!(status(&engine).await?.condition, "ok");
    Ok(())
}

#[tokio::test]
async fn l17_children_that_a_trigger_keeps_are_set_aside_and_named() -> Result<()> {
    for (on_delete, event) in [(OnDelete::Delete, "DELETE"), (OnDelete::SetNull, "UPDATE")] {
        let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
        pair.ci
            .execute(&format!(
                "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
                   IF OLD.id = 12 THEN RETURN NULL; END IF;
                   IF TG_OP = 'DELETE' THEN RETURN OLD; END IF;
                   RETURN NEW;
                 END $$;
                 CREATE TRIGGER keep BEFORE {event} ON builds FOR EACH ROW EXECUTE FUNCTION keep()"
            ))
            .await?;
        let key = loose("projects(id)", "builds(project_id)", on_delete)?;
        let engine = activated(builder(&pair)?.quarantine_after(2), [key]).await?;
        pair.main.execute("DELETE FROM projects").await?;

        assert_eq!(engine.run_once().await?, Drained::Drained);
        assert_eq!(retries(&pair.main).await?, ["({1},still_there,,f)"]);
        assert_eq!(engine.run_until_drained(Some(PATIENCE)).await?, Drained::NeedsAttention);
        assert_eq!(retries(&pair.main).await?, ["({1},still_there,,t)"]);
        let referring = table(&pair.ci, "builds WHERE project_id IS NOT NULL").await?;
        assert_eq!(referring, [ALL_BUILDS[1]], "{event}");
    }
    Ok(())
}

#[tokio::test]
async fn l17_a_trigger_that_keeps_one_child_of_many_is_noticed() -> Result<()> {
    let pair = Pair::with_schema(THOUSAND_PROJECTS, THOUSAND_BUILDS).await?;
    pair.ci
        .execute(
            "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
             CREATE TRIGGER keep BEFORE DELETE ON builds FOR EACH ROW WHEN (OLD.id IN (7, 900)) EXECUTE FUNCTION keep()",
        )
        .await?;
    let engine = activated(builder(&pair)?.quarantine_after(1), [builds()?]).await?;
    pair.main.execute("DELETE FROM projects").await?;
    assert_eq!(engine.run_until_drained(Some(PATIENCE)).await?, Drained::NeedsAttention);
    assert_eq!(table(&pair.ci, "builds").await?, ["(7,7)", "(900,900)"]);
    assert_eq!(retries(&pair.main).await?, ["({7},still_there,,t)", "({900},still_there,,t)"]);
    Ok(())
}

#[tokio::test]
async fn l17_a_rule_is_refused_before_the_first_change() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    pair.ci.execute("CREATE RULE keep AS ON DELETE TO builds DO INSTEAD NOTHING").await?;
    let engine = pair.engine([builds()?])?;
    let plan = engine.plan().await?;
    assert!(plan.loose_foreign_keys[0].findings.iter().any(|f| f.refuses && f.code == "rule"), "{plan:?}");
    let error = engine.install().await.err().context("it was installed")?;
    assert_eq!(error.kind, ErrorKind::Refused, "{error}");
    for db in [&pair.main, &pair.ci] {
        assert!(db.scalar::<bool>("SELECT to_regnamespace('lfk') IS NULL").await?);
    }
    Ok(())
}

#[tokio::test]
async fn l17_a_rule_that_comes_later_blocks_the_definition() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [builds()?]).await?;
    pair.ci.execute("CREATE RULE keep AS ON DELETE TO builds DO INSTEAD NOTHING").await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    let note = blocked(&engine).await?;
    assert!(note.contains("a rule rewrites the statement"), "{note}");
    assert!(note.contains("drop the rule"), "the remedy: {note}");
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS);
    pair.ci.execute("DROP RULE keep ON builds").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    Ok(())
}

#[tokio::test]
async fn l08_a_poisoned_key_is_isolated_and_the_rest_is_done() -> Result<()> {
    let steps = "CREATE TABLE steps (build_id bigint REFERENCES builds); INSERT INTO steps VALUES (617)";
    let pair = Pair::with_schema(THOUSAND_PROJECTS, &format!("{THOUSAND_BUILDS} {steps}")).await?;
    let engine = activated(builder(&pair)?.quarantine_after(2), [builds()?]).await?;
    pair.main.execute("DELETE FROM projects").await?;

    assert_eq!(engine.run_once().await?, Drained::Drained);
    assert_eq!(table(&pair.ci, "builds").await?, ["(617,617)"]);
    assert_eq!(retries(&pair.main).await?, ["({617},poisoned,23503,f)"]);
    assert_eq!(engine.run_until_drained(Some(PATIENCE)).await?, Drained::NeedsAttention);
    assert_eq!(retries(&pair.main).await?, ["({617},poisoned,23503,t)"]);
    // The DETAIL of this error is: Key (id)=(617) is still referenced from table "steps".
    let error: String = pair.main.scalar("SELECT error FROM lfk.retry").await?;
    assert!(error.contains("violates foreign key constraint \"steps_build_id_fkey\""), "{error}");
    assert!(!error.contains("617"), "{error}");
    let status = status(&engine).await?;
    assert_eq!((status.quarantined, status.retries, status.pending_keys), (1, 0, 0));
    Ok(())
}

#[tokio::test]
async fn l08_a_trigger_that_raises_for_one_key_holds_up_no_other() -> Result<()> {
    let pair = Pair::with_schema(THOUSAND_PROJECTS, THOUSAND_BUILDS).await?;
    pair.ci
        .execute(
            "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS
             $$ BEGIN RAISE 'not this one' USING DETAIL = 'secret', ERRCODE = 'P0007'; END $$;
             CREATE TRIGGER refuse BEFORE UPDATE ON builds FOR EACH ROW WHEN (OLD.id = 3) EXECUTE FUNCTION refuse()",
        )
        .await?;
    let nulled = loose("projects(id)", "builds(project_id)", OnDelete::SetNull)?;
    let engine = activated(builder(&pair)?.quarantine_after(2), [nulled]).await?;
    pair.main.execute("DELETE FROM projects").await?;
    assert_eq!(engine.run_until_drained(Some(PATIENCE)).await?, Drained::NeedsAttention);
    assert_eq!(table(&pair.ci, "builds WHERE project_id IS NOT NULL").await?, ["(3,3)"]);
    assert_eq!(retries(&pair.main).await?, ["({3},poisoned,P0007,t)"]);
    let error: String = pair.main.scalar("SELECT error FROM lfk.retry").await?;
    assert!(error.contains("not this one") && !error.contains("secret"), "{error}");
    Ok(())
}

#[tokio::test]
async fn l09_a_statement_that_timed_out_is_not_repeated_at_its_size() -> Result<()> {
    // A statement that comes to its 300th row takes longer than a statement may. Sequences do not roll back: they count.
    // There are 400 rows: fewer than any first guess, so a cap that is only somewhat lower would mean all of them again.
    let slow = "CREATE SEQUENCE rows_of_statement; CREATE SEQUENCE too_large;
        GRANT USAGE, UPDATE ON SEQUENCE rows_of_statement, too_large TO PUBLIC;
        CREATE FUNCTION begin_statement() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN PERFORM setval('rows_of_statement', 1, false); RETURN NULL; END $$;
        CREATE FUNCTION count_row() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN IF nextval('rows_of_statement') = 300 THEN PERFORM nextval('too_large'), pg_sleep(60); END IF; RETURN OLD; END $$;
        CREATE TRIGGER begin_statement BEFORE DELETE ON builds EXECUTE FUNCTION begin_statement();
        CREATE TRIGGER count_row BEFORE DELETE ON builds FOR EACH ROW EXECUTE FUNCTION count_row();";
    let pair = Pair::with_schema(PROJECTS, &format!("{BUILDS} {slow}")).await?;
    pair.ci.execute("INSERT INTO builds SELECT n, 1 FROM generate_series(1001, 1398) n").await?;
    let engine = active(&pair, [builds()?]).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    assert_eq!(pair.ci.scalar::<i64>("SELECT last_value FROM too_large WHERE is_called").await?, 1);
    Ok(())
}

#[tokio::test]
async fn l08_a_session_in_which_triggers_are_silent_blocks_the_definition_and_blames_no_key() -> Result<()> {
    let pair = Pair::with_schema(THOUSAND_PROJECTS, THOUSAND_BUILDS).await?;
    active_as_owner(&pair, [builds()?]).await?;
    // Has no connection yet that was made before.
    let engine = pair.engine([builds()?])?;
    pair.ci.execute(&format!("ALTER DATABASE {} SET session_replication_role = replica", pair.ci.name)).await?;
    pair.main.execute("DELETE FROM projects").await?;
    // The opening of the transaction fails, more than once on one connection.
    let note = blocked(&engine).await?;
    assert!(note.contains("session_replication_role"), "{note}");
    assert_eq!(retries(&pair.main).await?, [""; 0]);
    pair.ci.execute(&format!("ALTER DATABASE {} RESET session_replication_role", pair.ci.name)).await?;
    drain(&pair.engine([builds()?])?).await?;
    assert_eq!(table(&pair.ci, "builds").await?, [""; 0]);
    Ok(())
}
