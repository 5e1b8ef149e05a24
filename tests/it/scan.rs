//! Orphans are found where nothing is installed; what is not surely one is not called one.

use std::time::Duration;

use anyhow::{Context as _, Result};
use lfk_core::sabotage::Point;
use lfk_core::{Engine, ErrorKind, ScanEnd};
use lfk_tests::scenario::{active, drain};
use lfk_tests::{Cli, Cluster, Pair, Role, TestDb, engine};

use crate::clean_support::{BUILDS, Interference, PROJECTS, Place, activated, builder};
use crate::log_support::builds;
use crate::scan_support::{NAME, at_once, counts, delete_silently, everything, impatient, scan, scan_error, scan_with};

const DEFINITION: &str = "[[loose_foreign_key]]\nparent = \"main:public.projects(id)\"\nchild = \"ci:public.builds(project_id)\"\non_delete = \"delete\"\n";

#[tokio::test]
async fn m07_a_scan_needs_nothing_installed_and_changes_nothing() -> Result<()> {
    for place in Place::ALL {
        let pair = place.pair(PROJECTS, BUILDS).await?;
        let engine = pair.engine([builds()?])?;
        assert_eq!(counts(&scan(&engine).await?), (3, 0, 0, 0, 0), "{place:?}");
        pair.main.execute("DELETE FROM projects WHERE id <> 2").await?;
        let before = everything(&pair).await?;
        let found = scan(&engine).await?;
        assert_eq!(counts(&found), (3, 2, 3, 0, 0), "{place:?}");
        assert_eq!((found.result, found.samples, found.resumed), (ScanEnd::Done, None, false), "{place:?}");
        assert_eq!(everything(&pair).await?, before, "{place:?}");
    }
    Ok(())
}

#[tokio::test]
async fn m07_the_command_ends_with_three_when_it_finds_some_and_shows_keys_only_when_asked() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let cli = Cli::for_pair(&pair, DEFINITION)?;
    let none = cli.run(["scan", "--all", "--format", "json"]).await?.expect(0).json()?;
    assert_eq!(none["scans"][0]["orphan_keys"], 0);
    pair.ci.execute("INSERT INTO builds VALUES (71, 4711, 0), (72, 4711, 0)").await?;
    let found = cli.run(["scan", NAME, "--format", "json"]).await?.expect(3);
    let answer = found.json()?;
    let scan = &answer["scans"][0];
    assert_eq!((&scan["name"], &scan["result"]), (&NAME.into(), &"done".into()));
    assert_eq!((&scan["checked_keys"], &scan["orphan_keys"], &scan["orphan_rows"]), (&4.into(), &1.into(), &2.into()));
    assert!(!format!("{found:?}").contains("4711"), "{found:?}");
    let text = cli.run(["scan", NAME, "-v"]).await?.expect(3);
    assert!(text.stdout.contains("1 orphaned keys with 2 rows") && !format!("{text:?}").contains("4711"), "{text:?}");
    let keys = cli.run(["scan", NAME, "--show-keys"]).await?.expect(3);
    assert!(keys.stdout.contains("orphan: 4711"), "{keys:?}");
    let keys = cli.run(["scan", NAME, "--show-keys", "--format", "json"]).await?.expect(3).json()?;
    assert_eq!(keys["scans"][0]["samples"], serde_json::json!([["4711"]]));
    let late = cli.run(["scan", NAME, "--timeout", "0s"]).await?.expect(6);
    assert!(late.stderr.contains("--cursor-file"), "{late:?}");
    cli.run(["scan", "nothing"]).await?.expect(2);
    cli.run(["scan"]).await?.expect(2);
    Ok(())
}

#[tokio::test]
async fn c05_replica_role_deletes_are_found_by_the_scan() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [builds()?]).await?;
    delete_silently(&pair.main, "id = 1").await?;
    drain(&engine).await?;
    let scan = scan(&engine).await?;
    assert_eq!(counts(&scan), (3, 1, 2, 0, 0));
    assert!(scan.warnings.is_empty(), "{:?}", scan.warnings);
    Ok(())
}

/// A child whose parent is not there to be seen, and a scan that does not wait.
async fn undecided(pair: &Pair) -> Result<String> {
    let scan = scan_with(&pair.engine([builds()?])?, &impatient()).await?;
    assert_eq!(counts(&scan), (4, 0, 0, 0, 1));
    scan.unconfirmed_because.context("it does not say why")
}

#[tokio::test]
async fn m07_a_parent_in_an_open_transaction_is_no_orphan() -> Result<()> {
    for end in ["COMMIT", "ROLLBACK"] {
        // A server of its own: what other tests have open would be waited for as well.
        let (main, ci) = tokio::try_join!(Cluster::start(), Cluster::start())?;
        let pair = Pair::on(&main, &ci).await?;
        tokio::try_join!(pair.main.execute(PROJECTS), pair.ci.execute(BUILDS))?;
        let mut application = pair.main.connect().await?;
        sqlx::raw_sql("BEGIN; INSERT INTO projects VALUES (4, 'four')").execute(&mut application).await?;
        pair.ci.execute("INSERT INTO builds VALUES (41, 4, 0)").await?;
        let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()").fetch_one(&mut application).await?;
        let because = undecided(&pair).await?;
        assert!(because.contains(&format!("pid {pid}")) && because.contains(&pair.main.name), "{because}");

        // It ends while a scan waits.
        let finish = Interference::at(Point::ScanLooked, async move {
            sqlx::raw_sql(end).execute(&mut application).await?;
            Ok(())
        });
        let engine = builder(&pair)?.hook(finish.clone()).definitions([builds()?]).build()?;
        let orphans = u64::from(end == "ROLLBACK");
        assert_eq!(counts(&scan(&engine).await?), (4, orphans, orphans, 0, 0), "{end}");
        assert!(finish.passed() > 0);
    }
    Ok(())
}

#[tokio::test]
async fn m07_a_parent_in_a_prepared_transaction_is_no_orphan() -> Result<()> {
    let (main, ci) = tokio::try_join!(Cluster::start(), Cluster::start())?;
    let pair = Pair::on(&main, &ci).await?;
    tokio::try_join!(pair.main.execute(PROJECTS), pair.ci.execute(BUILDS))?;
    let mut application = pair.main.connect().await?;
    for statement in ["BEGIN", "INSERT INTO projects VALUES (4, 'four')", "PREPARE TRANSACTION 'four'"] {
        sqlx::raw_sql(statement).execute(&mut application).await?;
    }
    pair.ci.execute("INSERT INTO builds VALUES (41, 4, 0)").await?;
    assert!(undecided(&pair).await?.contains("prepared"));
    sqlx::raw_sql("COMMIT PREPARED 'four'").execute(&mut application).await?;
    assert_eq!(counts(&scan(&pair.engine([builds()?])?).await?), (4, 0, 0, 0, 0));
    Ok(())
}

#[tokio::test]
async fn m07_a_writer_in_another_database_of_the_cluster_only_delays_the_answer() -> Result<()> {
    let (main, ci) = tokio::try_join!(Cluster::start(), Cluster::start())?;
    let pair = Pair::on(&main, &ci).await?;
    tokio::try_join!(pair.main.execute(PROJECTS), pair.ci.execute(BUILDS))?;
    let other = TestDb::on(&main).await?;
    let mut writer = other.connect().await?;
    sqlx::raw_sql("BEGIN; SELECT pg_current_xact_id()").execute(&mut writer).await?;
    pair.ci.execute("INSERT INTO builds VALUES (41, 4, 0)").await?;
    assert!(undecided(&pair).await?.contains(&other.name));
    sqlx::raw_sql("ROLLBACK").execute(&mut writer).await?;
    // Who only reads is not waited for.
    sqlx::raw_sql("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT 1").execute(&mut writer).await?;
    let scan = scan(&pair.engine([builds()?])?).await?;
    assert_eq!(counts(&scan), (4, 1, 1, 0, 0));
    Ok(())
}

#[tokio::test]
async fn m07_a_parent_that_comes_back_and_a_child_that_goes_between_the_looks_are_no_orphans() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    pair.main.execute("DELETE FROM projects").await?;
    let (main, ci) = (pair.main.clone(), pair.ci.clone());
    let change = Interference::at(Point::ScanDecides, async move {
        main.execute("INSERT INTO projects VALUES (1, 'one')").await?;
        ci.execute("DELETE FROM builds WHERE project_id = 2").await?;
        Ok(())
    });
    let engine = builder(&pair)?.hook(change).definitions([builds()?]).build()?;
    assert_eq!(counts(&scan(&engine).await?), (3, 1, 1, 0, 0));
    Ok(())
}

/// Installed and active in this pair, with nothing done yet.
async fn installed(place: Place) -> Result<(Pair, Engine)> {
    let pair = place.pair(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [at_once()?]).await?;
    Ok((pair, engine))
}

#[tokio::test]
async fn m07_what_an_active_definition_has_yet_to_work_on_is_in_flight_and_no_orphan() -> Result<()> {
    for place in Place::ALL {
        let (pair, engine) = installed(place).await?;
        pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
        delete_silently(&pair.main, "id = 3").await?;
        assert_eq!(counts(&scan(&engine).await?), (3, 1, 1, 1, 0), "{place:?}");
        // What is set aside is not forgotten, either; what was given up is.
        pair.main
            .execute(&format!(
                "INSERT INTO lfk.retry (consumer, key, reason) VALUES ('{NAME}', '{{3}}', 'locked');
                 DELETE FROM projects WHERE id = 2"
            ))
            .await?;
        assert_eq!(counts(&scan(&engine).await?), (3, 0, 0, 3, 0), "{place:?}");
        pair.main.execute("UPDATE lfk.retry SET quarantined_at = now()").await?;
        assert_eq!(counts(&scan(&engine).await?), (3, 1, 1, 2, 0), "{place:?}");
        // Nobody is about to work on what a definition only observes.
        engine.set_state(&[NAME.to_owned()], lfk_core::State::Observe, false).await?;
        assert_eq!(counts(&scan(&engine).await?), (3, 3, 4, 0, 0), "{place:?}");
    }
    Ok(())
}

#[tokio::test]
async fn m07_after_a_truncate_every_orphan_is_in_flight_until_it_is_swept() -> Result<()> {
    let (pair, engine) = installed(Place::AnotherServer).await?;
    pair.main.execute("TRUNCATE projects; INSERT INTO projects VALUES (2, 'two')").await?;
    assert_eq!(counts(&scan(&engine).await?), (3, 0, 0, 2, 0));
    drain(&engine).await?;
    assert_eq!(counts(&scan(&engine).await?), (1, 0, 0, 0, 0));
    Ok(())
}

#[tokio::test]
async fn m07_composite_keys_in_the_log_are_in_flight_too() -> Result<()> {
    let pair = Pair::with_schema(
        "CREATE TABLE parents (shop int, number text, PRIMARY KEY (shop, number));
         INSERT INTO parents VALUES (1, 'a'), (1, 'b'), (2, 'a')",
        "CREATE TABLE children (id int PRIMARY KEY, shop int, number text); CREATE INDEX ON children (shop, number);
         INSERT INTO children VALUES (1, 1, 'a'), (2, 1, 'b'), (3, 2, 'a'), (4, 9, 'a')",
    )
    .await?;
    let key =
        lfk_tests::scenario::loose("parents(shop, number)", "children(shop, number)", lfk_core::OnDelete::Delete)?;
    let engine = activated(builder(&pair)?, [key]).await?;
    pair.main.execute("DELETE FROM parents WHERE number = 'a'").await?;
    assert_eq!(counts(&scan(&engine).await?), (4, 1, 1, 2, 0));
    Ok(())
}

#[tokio::test]
async fn m08_a_scan_warns_loudly_of_parents_that_are_not_there() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    pair.main.execute("ANALYZE projects; DELETE FROM projects WHERE id > 1").await?;
    let codes = async |engine: &Engine| -> Result<Vec<&'static str>> {
        Ok(scan(engine).await?.warnings.iter().map(|w| w.code).collect())
    };
    let engine = pair.engine([builds()?])?;
    assert_eq!(codes(&engine).await?, [""; 0], "one of three is not less than half of it, rounded down");
    pair.main.execute("DELETE FROM projects").await?;
    assert_eq!(codes(&engine).await?, ["parents_empty"]);
    pair.main.execute("INSERT INTO projects SELECT n FROM generate_series(1, 100) n; ANALYZE projects").await?;
    pair.main.execute("DELETE FROM projects WHERE id > 40").await?;
    assert_eq!(codes(&engine).await?, ["parents_missing"]);
    let cli = Cli::for_pair(&pair, DEFINITION)?;
    let text = cli.run(["scan", "--all"]).await?.expect(0);
    assert!(text.stdout.contains("WARNING") && text.stdout.contains("ANALYZE public.projects"), "{text:?}");
    Ok(())
}

#[tokio::test]
async fn m08_another_database_than_the_recorded_one_is_warned_of() -> Result<()> {
    let (pair, _) = installed(Place::AnotherServer).await?;
    let other = TestDb::with_schema(Role::Ci, BUILDS).await?;
    let engine = engine(&[("main", &pair.main.url), ("ci", &other.url)], [at_once()?])?;
    let scan = scan(&engine).await?;
    assert_eq!(scan.warnings.iter().map(|w| w.code).collect::<Vec<_>>(), ["not_the_recorded_pair"]);
    Ok(())
}

#[tokio::test]
async fn m07_a_standby_is_refused_as_the_parents_database() -> Result<()> {
    let primary = Cluster::start().await?;
    let db = TestDb::on(&primary).await?;
    db.execute(PROJECTS).await?;
    let standby = primary.start_standby().await?;
    let ci = TestDb::with_schema(Role::Ci, BUILDS).await?;
    let engine = engine(&[("main", &standby.url(&db.name)), ("ci", &ci.url)], [builds()?])?;
    lfk_tests::eventually("the standby has the table", Duration::from_secs(60), async || {
        let error = scan_error(&engine).await?;
        Ok(error.kind == ErrorKind::Refused && error.message.contains("standby"))
    })
    .await
}

#[tokio::test]
async fn f07_select_on_the_columns_is_enough_and_what_is_missing_is_said() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    let role = format!("{}_reader", pair.main.name);
    for db in [&pair.main, &pair.ci] {
        db.execute(&format!(
            "CREATE ROLE {role} LOGIN; ALTER ROLE {role} SET default_transaction_read_only = on;
             ALTER TABLE {} ADD COLUMN secret text",
            if db.name == pair.main.name { "projects" } else { "builds" }
        ))
        .await?;
    }
    let engine = pair.engine([builds()?])?.as_role(&role);
    let error = scan_error(&engine).await?;
    assert_eq!(error.kind, ErrorKind::Refused, "{error}");
    assert_eq!(error.hint.as_deref(), Some(format!("GRANT SELECT (id) ON public.projects TO {role};").as_str()));
    pair.main.execute(&format!("GRANT SELECT (id) ON projects TO {role}")).await?;
    let error = scan_error(&engine).await?;
    assert_eq!(error.hint.as_deref(), Some(format!("GRANT SELECT (project_id) ON public.builds TO {role};").as_str()));
    pair.ci.execute(&format!("GRANT SELECT (project_id) ON builds TO {role}")).await?;
    let found = scan(&engine).await?;
    assert_eq!((counts(&found), found.warnings.len()), ((3, 1, 2, 0, 0), 0));
    Ok(())
}

#[tokio::test]
async fn l17_a_policy_that_could_hide_a_parent_is_refused() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let role = format!("{}_hidden", pair.main.name);
    pair.main
        .execute(&format!(
            "CREATE ROLE {role} LOGIN; GRANT SELECT ON projects TO {role};
             ALTER TABLE projects ENABLE ROW LEVEL SECURITY; CREATE POLICY few ON projects USING (id > 1)"
        ))
        .await?;
    pair.ci.execute(&format!("CREATE ROLE {role} LOGIN; GRANT SELECT ON builds TO {role}")).await?;
    let error = scan_error(&pair.engine([builds()?])?.as_role(&role)).await?;
    assert!(error.kind == ErrorKind::Refused && error.message.contains("row-level security"), "{error}");
    Ok(())
}
