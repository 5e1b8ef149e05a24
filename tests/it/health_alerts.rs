//! Alerts of `lfk.health` that take more than a moment to come about, and what `lfk status` says then.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use lfk_core::sabotage::{Point, Verdict};
use lfk_core::{Database, Engine};
use lfk_tests::scenario::{PATIENCE, active, drain};
use lfk_tests::{Cli, Pair, TestDb, eventually};

use crate::clean_support::{BUILDS, PROJECTS, activated, builder, status, table};
use crate::log_support::{When, builds};

const DEFINITION: &str = "[[loose_foreign_key]]
parent = \"main:public.projects(id)\"
child = \"ci:public.builds(project_id)\"
on_delete = \"delete\"";

async fn alerts(main: &TestDb) -> Result<String> {
    main.scalar("SELECT alert::text FROM lfk.health").await
}

/// What `lfk status` prints, after it was asked to end with 3 when there is an alert.
async fn said(pair: &Pair) -> Result<String> {
    Ok(Cli::for_pair(pair, DEFINITION)?.run(["status", "--exit-code"]).await?.expect(3).stdout)
}

#[tokio::test]
async fn s01_a_log_that_has_grown_too_large_is_an_alert() -> Result<()> {
    const GIB: u64 = 1 << 30;
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [builds()?]).await?;
    assert_eq!(alerts(&pair.main).await?, "{}");
    // The server adds up the files of a table. These are behind the end of what it reads, and hold nothing.
    let file = "SELECT current_setting('data_directory') || '/' || pg_relation_filepath('lfk.key_log_default')";
    let file: String = pair.main.scalar(file).await?;
    for segment in 1..=9 {
        File::create_new(Path::new(&format!("{file}.{segment}")))?.set_len(GIB)?;
    }
    assert_eq!(alerts(&pair.main).await?, "{}", "nine and a bit are not too much");
    File::create_new(Path::new(&format!("{file}.10")))?.set_len(GIB)?;
    assert_eq!(alerts(&pair.main).await?, "{log_too_large}");
    let said = said(&pair).await?;
    assert!(said.contains("log_too_large"), "{said}");
    assert!(status(&engine).await?.log_bytes > 10 << 30);
    // It goes on working.
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    drain(&engine).await?;
    pair.main.execute("TRUNCATE lfk.key_log_default").await?;
    let gone = async || Ok(alerts(&pair.main).await? == "{}");
    eventually("the files are gone", PATIENCE, gone).await
}

#[tokio::test]
async fn s01_what_is_held_for_a_minute_and_what_holds_the_log_for_a_day_are_alerts_with_a_note() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    active(&pair, [builds()?]).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    // Nobody listens there.
    let away = Database::connect_lazy("ci", "postgres://postgres@127.0.0.1:1/gone")?;
    let engine = Engine::builder()
        .database(Database::connect_lazy("main", &pair.main.url)?)
        .database(away)
        .definitions([builds()?])
        .build()?;
    let handle = engine.start();
    let held = async || Ok(status(&engine).await?.condition == "held");
    eventually("it is held", PATIENCE, held).await?;
    handle.shutdown().await?;
    assert_eq!(alerts(&pair.main).await?, "{}", "a database that restarts is no alarm");
    pair.main.execute("UPDATE lfk.definition SET noted_at = noted_at - interval '61 s'").await?;
    assert_eq!(alerts(&pair.main).await?, "{held}");
    let said_held = said(&pair).await?;
    assert!(said_held.contains("held: database \"ci\": cannot be reached"), "{said_held}");

    pair.main.execute("UPDATE lfk.key_log SET at = at - interval '23 h 59 min'").await?;
    let early = alerts(&pair.main).await?;
    assert!(!early.contains("held_by_cursor"), "{early}");
    pair.main.execute("UPDATE lfk.key_log SET at = at - interval '2 min'").await?;
    let late = alerts(&pair.main).await?;
    assert!(late.contains("held,") && late.contains("held_by_cursor"), "{late}");
    let said_late = said(&pair).await?;
    assert!(said_late.contains("held_by_cursor") && said_late.contains("cannot be reached"), "{said_late}");
    drain(&pair.engine([builds()?])?).await?;
    let well = alerts(&pair.main).await?;
    assert!(!well.contains("held,"), "{well}");
    Ok(())
}

#[tokio::test]
async fn s01_a_sweep_at_work_is_seen_with_how_far_it_is() -> Result<()> {
    let children =
        "CREATE TABLE builds (id bigint PRIMARY KEY, project_id bigint); CREATE INDEX ON builds (project_id);
        INSERT INTO builds SELECT n, n FROM generate_series(1, 12000) n;";
    let pair = Pair::with_schema(PROJECTS, children).await?;
    let (main, cli) = (pair.main.clone(), std::sync::Arc::new(Cli::for_pair(&pair, DEFINITION)?));
    let seen = std::sync::Arc::new(std::sync::Mutex::new(Vec::new()));
    let all = seen.clone();
    let hook = When::passing(move |point, who| {
        let (main, cli, all) = (main.clone(), cli.clone(), all.clone());
        async move {
            if point == Point::SweepStored && !who.contains('~') {
                let health =
                    "SELECT state || condition || sweeping::text || coalesce(sweep_looked_at, -1) || alert::text
                    FROM lfk.health";
                let health: String = main.scalar(health).await?;
                let table = cli.run(["status"]).await?.stdout;
                let line = table.lines().find(|line| line.contains("builds.project_id")).context("no line")?.to_owned();
                all.lock().expect("nobody panics with it").push((health, line));
            }
            Ok(Verdict::GoOn)
        }
    });
    let at_once = builds()?.settle_after(Duration::ZERO);
    let engine = activated(builder(&pair)?.hook(hook), [at_once]).await?;
    pair.main.execute("TRUNCATE projects; INSERT INTO projects VALUES (7, 'seven')").await?;
    assert_eq!(alerts(&pair.main).await?, "{sweep_needed}");
    drain(&engine).await?;
    let seen = seen.lock().expect("nobody panics with it").clone();
    let healths: Vec<&str> = seen.iter().map(|(health, _)| health.as_str()).collect();
    assert_eq!(healths[..2], ["activeoktrue5000{sweeping}", "activeoktrue10000{sweeping}"], "{seen:?}");
    assert!(seen[0].1.ends_with("sweeping: 5000 child keys looked at so far"), "{}", seen[0].1);
    assert!(seen[0].1.contains(" active ") && seen[0].1.contains(" sweeping "), "{}", seen[0].1);
    assert_eq!((status(&engine).await?.note, alerts(&pair.main).await?.as_str()), (None, "{}"));
    assert_eq!(table(&pair.ci, "builds").await?, ["(7,7)"]);
    Ok(())
}
