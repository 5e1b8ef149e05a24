//! Being seen: what SQL alone says when nothing of lfk runs, and what is written down.

use anyhow::{Context as _, Result};
use lfk_core::{Engine, LooseForeignKey, OnDelete, State};
use lfk_tests::scenario::{PATIENCE, active, as_installer, drain, installed, loose, roles_of};
use lfk_tests::{Cli, LeastRoles, Pair, TestDb, eventually};
use sqlx::{Connection as _, PgConnection};

use crate::clean_support::{BUILDS, PROJECTS, builder, table};

const NAME: &str = "builds.project_id";

const DEFINITION: &str = "[[loose_foreign_key]]
parent = \"main:public.projects(id)\"
child = \"ci:public.builds(project_id)\"
on_delete = \"delete\"";

fn builds() -> Result<LooseForeignKey> {
    loose("projects(id)", "builds(project_id)", OnDelete::Delete)
}

/// A column of the view for one definition, as text.
async fn health(main: &TestDb, name: &str, column: &str) -> Result<String> {
    main.scalar(&format!("SELECT coalesce(({column})::text, '-') FROM lfk.health WHERE name = '{name}'")).await
}

async fn alerts(main: &TestDb) -> Result<String> {
    health(main, NAME, "alert").await
}

/// As if everything in the log had been written so much earlier.
async fn age_the_log(main: &TestDb, by: &str) -> Result<()> {
    main.execute(&format!("UPDATE lfk.key_log SET at = at - interval '{by}'")).await?;
    Ok(())
}

/// Active, with one key that waits.
async fn one_waits() -> Result<(Pair, Engine)> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [builds()?]).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    Ok((pair, engine))
}

#[tokio::test]
async fn s01_age_and_number_of_what_waits_are_seen_without_a_daemon() -> Result<()> {
    let (pair, engine) = one_waits().await?;
    let main = &pair.main;
    assert_eq!(health(main, NAME, "(state, pending_keys, retries, quarantined)").await?, "(active,1,0,0)");
    assert_eq!(health(main, NAME, "oldest_pending_seconds BETWEEN 0 AND 50").await?, "true");
    assert_eq!(alerts(main).await?, "{}", "what has waited for a moment is no alarm");
    age_the_log(main, "90 s").await?;
    assert_eq!(health(main, NAME, "oldest_pending_seconds BETWEEN 90 AND 140").await?, "true");
    drain(&engine).await?;
    assert_eq!(health(main, NAME, "(pending_keys, oldest_pending_seconds, rows_affected_total)").await?, "(0,,2)");
    assert_eq!(alerts(main).await?, "{}");
    assert_eq!(health(main, NAME, "log_bytes > 8192 AND log_oldest_seconds BETWEEN 90 AND 140").await?, "true");
    Ok(())
}

#[tokio::test]
async fn s01_a_growing_age_has_a_reason() -> Result<()> {
    let (pair, engine) = one_waits().await?;
    pair.ci.execute("ALTER TABLE builds RENAME TO elsewhere").await?;
    let handle = engine.start();
    eventually("it is blocked", PATIENCE, async || Ok(alerts(&pair.main).await? == "{blocked}")).await?;
    handle.shutdown().await?;
    assert_eq!(health(&pair.main, NAME, "pending_keys").await?, "1");
    let note = health(&pair.main, NAME, "note").await?;
    assert!(note.contains("is not there"), "{note}");
    Ok(())
}

#[tokio::test]
async fn s02_work_that_waits_without_a_worker_is_an_alert() -> Result<()> {
    let (pair, engine) = one_waits().await?;
    age_the_log(&pair.main, "61 s").await?;
    assert_eq!(alerts(&pair.main).await?, "{no_worker}");
    // The row of a worker that was killed stays; it is the sign of life that counts.
    let handle = engine.start();
    eventually("it is done", PATIENCE, async || Ok(health(&pair.main, NAME, "pending_keys").await? == "0")).await?;
    assert_eq!(health(&pair.main, NAME, "(workers, last_worker_seen_seconds_ago < 50)").await?, "(1,t)");
    drop(handle);
    pair.main.execute("UPDATE lfk.worker SET seen_at = seen_at - interval '2 min'").await?;
    assert_eq!(alerts(&pair.main).await?, "{}", "nothing waits");
    pair.main.execute("DELETE FROM projects WHERE id = 2").await?;
    age_the_log(&pair.main, "61 s").await?;
    assert_eq!(alerts(&pair.main).await?, "{no_worker}");
    Ok(())
}

#[tokio::test]
async fn s02_a_worker_that_does_nothing_while_work_waits_is_an_alert() -> Result<()> {
    let notes = "CREATE TABLE notes (id bigint PRIMARY KEY, project_id bigint); CREATE INDEX ON notes (project_id);
        INSERT INTO notes VALUES (1, 1), (2, 2)";
    let pair = Pair::with_schema(PROJECTS, &format!("{BUILDS} {notes}")).await?;
    let second = || loose("projects(id)", "notes(project_id)", OnDelete::Delete);
    active(&pair, [builds()?, second()?]).await?;
    // A daemon with yesterday's configuration: it knows only one of the two.
    let handle = pair.engine([second()?])?.start();
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    let of_notes = async |column: &str| health(&pair.main, "notes.project_id", column).await;
    eventually("its own is done", PATIENCE, async || Ok(of_notes("pending_keys").await? == "0")).await?;
    assert_eq!(alerts(&pair.main).await?, "{}");
    age_the_log(&pair.main, "6 min").await?;
    assert_eq!(alerts(&pair.main).await?, "{stalled}");
    assert_eq!(of_notes("alert").await?, "{}");
    handle.shutdown().await?;
    Ok(())
}

#[tokio::test]
async fn s02_who_is_told_to_wait_does_not_alert_for_waiting() -> Result<()> {
    let (pair, engine) = one_waits().await?;
    age_the_log(&pair.main, "1 h").await?;
    engine.set_state(&[NAME.to_owned()], State::Paused, false).await?;
    assert_eq!(alerts(&pair.main).await?, "{}");
    age_the_log(&pair.main, "24 h").await?;
    assert_eq!(alerts(&pair.main).await?, "{held_by_cursor}", "but that it holds the log is said");
    age_the_log(&pair.main, "6 h").await?;
    assert_eq!(alerts(&pair.main).await?, "{held_by_cursor,log_too_old}");
    engine.set_state(&[NAME.to_owned()], State::Active, false).await?;
    engine.set_stopped(true).await?;
    assert!(alerts(&pair.main).await?.starts_with("{stopped,"));
    engine.set_stopped(false).await?;
    assert!(alerts(&pair.main).await?.starts_with("{no_worker,"));
    Ok(())
}

#[tokio::test]
async fn s01_a_late_second_visit_and_a_missing_sweep_are_said() -> Result<()> {
    let (pair, engine) = one_waits().await?;
    drain(&engine).await?;
    assert_eq!(health(&pair.main, NAME, "(trailing_lag_seconds, alert)").await?, "(0,{})");
    age_the_log(&pair.main, "12 min").await?;
    assert_eq!(health(&pair.main, NAME, "trailing_lag_seconds BETWEEN 660 AND 700").await?, "true");
    assert_eq!(alerts(&pair.main).await?, "{trailing_late}");
    pair.main.execute("UPDATE lfk.key_log SET at = clock_timestamp(); TRUNCATE projects").await?;
    assert_eq!(alerts(&pair.main).await?, "{sweep_needed}");
    assert_eq!(health(&pair.main, NAME, "(pending_keys, sweeping)").await?, "(1,f)");
    Ok(())
}

#[tokio::test]
async fn s01_a_gap_in_coverage_is_said() -> Result<()> {
    let (pair, _) = one_waits().await?;
    pair.main.execute("ALTER TABLE projects DISABLE TRIGGER ALL; SELECT lfk.cover()").await?;
    assert_eq!(health(&pair.main, NAME, "not_covered").await?, "1");
    assert!(alerts(&pair.main).await?.contains("not_covered"));
    pair.main.execute("ALTER TABLE projects ENABLE TRIGGER ALL; SELECT lfk.cover()").await?;
    assert_eq!(health(&pair.main, NAME, "not_covered").await?, "0");
    pair.main.execute("DROP TABLE projects").await?;
    assert_eq!(health(&pair.main, NAME, "not_covered").await?, "1");
    Ok(())
}

#[tokio::test]
async fn s01_a_watcher_needs_two_grants_and_sees_no_key() -> Result<()> {
    let (pair, _) = one_waits().await?;
    let role = format!("watcher_of_{}", pair.main.name);
    pair.main
        .execute(&format!(
            "CREATE ROLE {role} LOGIN; GRANT USAGE ON SCHEMA lfk TO {role}; GRANT SELECT ON lfk.health TO {role}"
        ))
        .await?;
    let mut watcher = PgConnection::connect(&pair.main.url.replace("//postgres@", &format!("//{role}@"))).await?;
    let pending: i64 = sqlx::query_scalar("SELECT pending_keys FROM lfk.health").fetch_one(&mut watcher).await?;
    assert_eq!(pending, 1);
    let refused = sqlx::query("SELECT lfk.assert_drained('builds.project_id')").execute(&mut watcher).await;
    let refused = refused.err().context("it is not drained")?.to_string();
    assert!(refused.contains("is not drained: keys in the log wait"), "{refused}");
    for forbidden in ["SELECT FROM lfk.key_log", "SELECT FROM lfk.retry", "SELECT FROM lfk.audit", "SELECT lfk.cover()"]
    {
        let denied = sqlx::query(forbidden).execute(&mut watcher).await.err().context("it was allowed")?;
        assert!(denied.to_string().contains("permission denied"), "{forbidden}: {denied}");
    }
    Ok(())
}

#[tokio::test]
async fn s01_health_counts_up_to_a_bound_and_never_scans_the_log() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [builds()?]).await?;
    let log = "INSERT INTO lfk.key_log (table_id, keys) SELECT 1, ARRAY[n] FROM generate_series(1, 20000) n";
    pair.main.execute(log).await?;
    let look = async || -> Result<(i64, bool, i64, i64)> {
        // A session of its own each time: it counts what it has fetched until it sends that off.
        let mut session = pair.main.connect().await?;
        let mut tx = session.begin().await?;
        let of_view = "SELECT pending_keys, pending_is_lower_bound FROM lfk.health";
        let (keys, bound) = sqlx::query_as(of_view).fetch_one(&mut *tx).await?;
        let scans = "SELECT coalesce(sum(seq_scan), 0)::int8, coalesce(sum(idx_tup_fetch), 0)::int8
            FROM pg_stat_xact_user_tables WHERE schemaname = 'lfk' AND relname LIKE 'key\\_log%'";
        let (seq_scans, rows) = sqlx::query_as(scans).fetch_one(&mut *tx).await?;
        Ok((keys, bound, seq_scans, rows))
    };
    let (keys, bound, seq_scans, rows) = look().await?;
    assert_eq!((keys, bound, seq_scans), (10_000, true, 0));
    assert!((10_000..10_100).contains(&rows), "{rows} rows were fetched");
    let status = &engine.status().await?.loose_foreign_keys[0];
    assert_eq!((status.pending_keys, status.pending_is_lower_bound), (20_000, false), "lfk status counts on");

    // Inside an open window, what was passed is not walked again.
    let half = "UPDATE lfk.cursor SET cur = pg_current_snapshot(), pos_xid = l.xid, pos_id = l.id
        FROM (SELECT xid, id FROM lfk.key_log WHERE keys = '{19990}') l WHERE settle IS NULL";
    pair.main.execute(half).await?;
    let (keys, bound, seq_scans, rows) = look().await?;
    assert_eq!((keys, bound, seq_scans), (10, false, 0));
    assert!(rows < 100, "{rows} rows were fetched");

    // And nothing of what was consumed before.
    pair.main.execute("UPDATE lfk.cursor SET prev = pg_current_snapshot(), cur = NULL").await?;
    let (keys, bound, seq_scans, rows) = look().await?;
    assert_eq!((keys, bound, seq_scans), (0, false, 0));
    assert!(rows < 100, "{rows} rows were fetched");
    Ok(())
}

/// What `lfk.assert_drained` answers: nothing, or its complaint.
async fn not_drained(main: &TestDb) -> Result<Option<String>> {
    match main.execute(&format!("SELECT lfk.assert_drained('{NAME}')")).await {
        Ok(_) => Ok(None),
        Err(error) => Ok(Some(format!("{:#}", error.root_cause()))),
    }
}

#[tokio::test]
async fn s01_a_migration_may_assert_that_nothing_is_left() -> Result<()> {
    let steps = "CREATE TABLE steps (build_id bigint REFERENCES builds); INSERT INTO steps VALUES (21);";
    let pair = Pair::with_schema(PROJECTS, &format!("{BUILDS} {steps}")).await?;
    let engine = installed(builder(&pair)?.quarantine_after(2).definitions([builds()?]).build()?).await?;
    let said = not_drained(&pair.main).await?.context("observing is no cleaning")?;
    assert!(said.contains("it observes and cleans nothing"), "{said}");
    engine.set_state(&[NAME.to_owned()], State::Active, false).await?;
    assert_eq!(not_drained(&pair.main).await?, None);

    pair.main.execute("DELETE FROM projects WHERE id IN (1, 2)").await?;
    assert!(not_drained(&pair.main).await?.context("a key waits")?.contains("keys in the log wait"));
    engine.run_once().await?;
    assert!(not_drained(&pair.main).await?.context("a key waits")?.contains("keys are set aside"));
    engine.run_until_drained(Some(PATIENCE)).await?;
    assert!(not_drained(&pair.main).await?.context("a key is left")?.contains("keys are quarantined"));
    assert_eq!(alerts(&pair.main).await?, "{quarantined}");

    pair.ci.execute("DROP TABLE steps").await?;
    engine.retry_now(&lfk_core::SetAsideFilter::default()).await?;
    drain(&engine).await?;
    assert_eq!(not_drained(&pair.main).await?, None);
    let unknown = pair.main.execute("SELECT lfk.assert_drained('nothing')").await.err().context("there is none")?;
    assert!(unknown.root_cause().to_string().contains("there is no loose foreign key \"nothing\""), "{unknown:#}");
    Ok(())
}

#[tokio::test]
async fn s02_status_shows_alerts_and_answers_with_a_code_where_asked() -> Result<()> {
    let (pair, engine) = one_waits().await?;
    let cli = Cli::for_pair(&pair, DEFINITION)?;
    cli.run(["status", "--exit-code"]).await?.expect(0);
    age_the_log(&pair.main, "5 min").await?;
    let table = cli.run(["status"]).await?.expect(0).stdout;
    assert!(table.contains("ALERT") && table.contains("no_worker"), "{table}");
    let json = cli.run(["status", "--exit-code", "--format", "json"]).await?.expect(3).json()?;
    assert_eq!(json["loose_foreign_keys"][0]["alerts"], serde_json::json!(["no_worker"]));
    drain(&engine).await?;
    cli.run(["status", "--exit-code"]).await?.expect(0);
    Ok(())
}

#[tokio::test]
async fn s03_every_change_of_state_is_in_the_audit() -> Result<()> {
    let notes = "CREATE TABLE notes (id bigint PRIMARY KEY, project_id bigint); CREATE INDEX ON notes (project_id);";
    let pair = Pair::with_schema(PROJECTS, &format!("{BUILDS} {notes}")).await?;
    let second = loose("projects(id)", "notes(project_id)", OnDelete::SetNull)?;
    let engine = active(&pair, [builds()?, second]).await?;
    let name = || [NAME.to_owned()];
    engine.set_state(&name(), State::Active, false).await?;
    engine.set_state(&name(), State::Paused, false).await?;
    engine.set_stopped(true).await?;
    engine.set_stopped(true).await?;
    engine.set_stopped(false).await?;
    // By hand, as the documents allow.
    pair.main.execute(&format!("UPDATE lfk.definition SET state = 'observe' WHERE name = '{NAME}'")).await?;
    as_installer(&engine)?.uninstall(&name()).await?;
    let LeastRoles { installer, worker } = roles_of(&engine)?;
    let audit = "(SELECT id, event, detail->>'from', detail->>'to', by FROM lfk.audit
        WHERE definition IS DISTINCT FROM 'notes.project_id') a";
    let seen: Vec<String> = table(&pair.main, audit)
        .await?
        .into_iter()
        .map(|row| row.split_once(',').map(|(_, rest)| rest.to_owned()).unwrap_or_default())
        .collect();
    assert_eq!(
        seen,
        [
            format!("installed,,observe,{installer})"),
            format!("state,observe,active,{worker})"),
            format!("state,active,paused,{worker})"),
            format!("stopped,,,{worker})"),
            format!("started,,,{worker})"),
            "state,paused,observe,postgres)".to_owned(),
            format!("uninstalled,observe,,{installer})"),
        ]
    );
    Ok(())
}

#[tokio::test]
async fn s01_the_oldest_key_counts_whether_it_is_in_the_log_or_set_aside() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    active(&pair, [builds()?]).await?;
    pair.main
        .execute(
            "INSERT INTO lfk.retry (consumer, key, reason, attempts, blamed, not_before, created_at)
             VALUES ('builds.project_id', '{9}', 'locked', 1, 0, clock_timestamp() + interval '1 hour', clock_timestamp() - interval '2 hours')",
        )
        .await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    let (pending, oldest) = ("SELECT pending_keys FROM lfk.health", "SELECT oldest_pending_seconds FROM lfk.health");
    assert_eq!(pair.main.scalar::<i64>(pending).await?, 2);
    assert!(pair.main.scalar::<f64>(oldest).await? >= 7200.0);
    pair.main.execute("UPDATE lfk.retry SET created_at = clock_timestamp()").await?;
    pair.main.execute("UPDATE lfk.key_log SET at = at - interval '3 hours'").await?;
    assert!(pair.main.scalar::<f64>(oldest).await? >= 10_800.0);
    Ok(())
}
