//! A repair cleans what a scan has confirmed, as the definition says, and refuses when something else must be wrong.

use std::time::Duration;

use anyhow::{Context as _, Result};
use lfk_core::sabotage::Point;
use lfk_core::{Engine, ErrorKind, LooseForeignKey, OnDelete, ScanEnd, State};
use lfk_sql::Ident;
use lfk_tests::scenario::{activate, active, drain, installed, loose};
use lfk_tests::{Cli, Pair, Role, TestDb, engine};

use crate::clean_support::{ALL_BUILDS, BUILDS, Interference, PROJECTS, Place, builder, table};
use crate::log_support::{When, builds};
use crate::scan_support::{
    NAME, at_once, counts, delete_silently, everything, execute, many, repair, repair_with, scan,
};

const HOUR: Duration = Duration::from_secs(3600);

/// Why a repair is refused; nothing was changed by it, nor by one that only shows.
async fn refused(pair: &Pair, engine: &Engine) -> Result<String> {
    let before = everything(pair).await?;
    let shown = repair_with(engine, &lfk_core::RepairOptions::default()).await.err().context("it was shown")?;
    let error = repair(engine).await.err().context("it was done")?;
    assert_eq!((error.kind, shown.kind), (ErrorKind::Refused, ErrorKind::Refused), "{error}");
    assert!(error.hint.is_some(), "{error}");
    assert_eq!(error.to_string(), shown.to_string());
    assert_eq!(everything(pair).await?, before);
    Ok(error.to_string())
}

#[tokio::test]
async fn m08_a_repair_shows_first_and_then_does_what_is_declared_where_nothing_is_installed() -> Result<()> {
    let four = OnDelete::Set(vec![(Ident::new("status")?, Some("4".to_owned()))]);
    for place in Place::ALL {
        for (action, left, rows) in [
            (OnDelete::Delete, &["(21,2,0)", "(31,3,)", "(90,,0)"][..], 2),
            (OnDelete::SetNull, &["(11,,0)", "(12,,4)", "(21,2,0)", "(31,3,)", "(90,,0)"], 2),
            (four.clone(), &["(11,1,4)", "(12,1,4)", "(21,2,0)", "(31,3,)", "(90,,0)"], 1),
        ] {
            let pair = place.pair(PROJECTS, BUILDS).await?;
            let key = loose("projects(id)", "builds(project_id)", action)?.settle_after(Duration::ZERO);
            let engine = pair.engine([key])?;
            pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
            let shown = repair_with(&engine, &lfk_core::RepairOptions::default()).await?;
            assert_eq!((shown.executed, shown.scan.orphan_rows, shown.rows_changed), (false, rows, 0), "{place:?}");
            assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS, "{place:?}");
            let done = repair(&engine).await?;
            let numbers = (done.executed, done.repaired_keys, done.rows_changed, done.failed_keys, done.remaining_keys);
            assert_eq!(numbers, (true, 1, rows, 0, 0), "{place:?} {done:?}");
            assert_eq!(table(&pair.ci, "builds").await?, left, "{place:?}");
            assert_eq!(table(&pair.ci, "bystanders").await?, ALL_BUILDS, "{place:?}");
            assert_eq!(counts(&scan(&engine).await?).1, 0, "{place:?}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn m08_an_empty_or_half_empty_parent_is_refused() -> Result<()> {
    let pair = many(300_000, 1_000_000, 1).await?;
    let engine = pair.engine([at_once()?])?;
    // The estimate is of before the damage; autovacuum would set it right.
    pair.main.execute("ALTER TABLE projects SET (autovacuum_enabled = off)").await?;
    pair.main.execute("DELETE FROM projects WHERE id > 100000").await?;
    assert!(refused(&pair, &engine).await?.contains("less than half"));
    pair.main.execute("TRUNCATE projects").await?;
    assert!(refused(&pair, &engine).await?.contains("is empty"));
    Ok(())
}

#[tokio::test]
async fn m08_more_than_one_percent_of_orphans_is_refused_unless_it_is_allowed() -> Result<()> {
    let pair = many(2_000, 50, 1).await?;
    let engine = pair.engine([at_once()?])?;
    assert!(refused(&pair, &engine).await?.contains("2.0 %"));
    let mut allowed = execute();
    allowed.max_orphans_percent = 2.0;
    let done = repair_with(&engine, &allowed).await?;
    assert_eq!((done.repaired_keys, done.rows_changed), (40, 40));
    assert_eq!(counts(&scan(&engine).await?), (1_960, 0, 0, 0, 0));
    Ok(())
}

#[tokio::test]
async fn m08_what_plan_refuses_is_not_repaired() -> Result<()> {
    let pair = Pair::with_schema(
        PROJECTS,
        "CREATE TABLE builds (id bigint PRIMARY KEY, project_id bigint NOT NULL); INSERT INTO builds VALUES (1, 9)",
    )
    .await?;
    let nulls = loose("projects(id)", "builds(project_id)", OnDelete::SetNull)?.settle_after(Duration::ZERO);
    let engine = pair.engine([nulls])?;
    // A scan has no use for an index, or for NULLs.
    assert_eq!(counts(&scan(&engine).await?).1, 1);
    assert!(refused(&pair, &engine).await?.contains("NOT NULL"));
    pair.ci.execute("ALTER TABLE builds ALTER project_id DROP NOT NULL").await?;
    assert!(refused(&pair, &engine).await?.contains("no usable index"));
    pair.ci.execute("CREATE INDEX ON builds (project_id)").await?;
    assert_eq!(repair(&engine).await?.rows_changed, 1);
    Ok(())
}

#[tokio::test]
async fn m08_another_database_than_the_recorded_one_is_not_repaired() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    active(&pair, [at_once()?]).await?;
    let other = TestDb::with_schema(Role::Ci, BUILDS).await?;
    other.execute("INSERT INTO builds VALUES (99, 9, 0)").await?;
    let engine = engine(&[("main", &pair.main.url), ("ci", &other.url)], [at_once()?])?;
    let before = table(&other, "builds").await?;
    let error = repair(&engine).await.err().context("it was done")?;
    assert_eq!(error.kind, ErrorKind::Refused, "{error}");
    assert_eq!(table(&other, "builds").await?, before);
    // Nor another definition under the same name.
    let nulls = loose("projects(id)", "builds(project_id)", OnDelete::SetNull)?;
    assert!(refused(&pair, &pair.engine([nulls])?).await?.contains("another definition"));
    Ok(())
}

#[tokio::test]
async fn l16_the_kill_switch_and_a_pause_hold_for_repairs_and_observing_does_not() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = installed(pair.engine([at_once()?])?).await?;
    delete_silently(&pair.main, "id = 1").await?;
    engine.set_stopped(true).await?;
    assert!(refused(&pair, &engine).await?.contains("kill switch"));
    engine.set_stopped(false).await?;
    engine.set_state(&[NAME.to_owned()], State::Paused, false).await?;
    assert!(refused(&pair, &engine).await?.contains("paused"));
    engine.set_state(&[NAME.to_owned()], State::Observe, false).await?;
    let done = repair(&engine).await?;
    assert_eq!((done.repaired_keys, done.rows_changed), (1, 2));
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    // It is in the audit, without a key, and the lease is given back.
    let audit = table(&pair.main, "(SELECT event, detail FROM lfk.audit WHERE event LIKE 'repair%') a").await?;
    assert_eq!(audit.len(), 2, "{audit:?}");
    assert!(audit[1].contains("repair_ended") && audit[1].contains("rows"), "{audit:?}");
    assert_eq!(pair.main.scalar::<i64>("SELECT count(*) FROM lfk.cursor WHERE owner IS NOT NULL").await?, 0);
    // The daemon goes on with the pair as it was.
    activate(&engine).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 2").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[3..]);
    Ok(())
}

#[tokio::test]
async fn l16_a_kill_switch_in_the_middle_ends_a_repair_between_two_batches() -> Result<()> {
    let pair = many(20_000, 5, 1).await?;
    let main = pair.main.clone();
    let stop = Interference::at_turn(3, Point::LeafCleaned, async move {
        main.execute("UPDATE lfk.control SET stopped = true").await?;
        Ok(())
    });
    let engine = installed(builder(&pair)?.hook(stop).definitions([at_once()?]).build()?).await?;
    let mut options = execute();
    options.max_orphans_percent = 100.0;
    let error = repair_with(&engine, &options).await.err().context("it came to its end")?;
    assert_eq!(error.kind, ErrorKind::Refused, "{error}");
    let left = pair.ci.scalar::<i64>("SELECT count(*) FROM builds").await?;
    assert!((16_001..20_000).contains(&left), "{left}");
    engine.set_stopped(false).await?;
    repair_with(&engine, &options).await?;
    assert_eq!(pair.ci.scalar::<i64>("SELECT count(*) FROM builds").await?, 16_000);
    Ok(())
}

#[tokio::test]
async fn m08_no_more_rows_are_changed_than_were_allowed() -> Result<()> {
    for place in Place::ALL {
        let children = format!(
            "{BUILDS} INSERT INTO builds SELECT 1000 + n, CASE WHEN n <= 700 THEN 50 ELSE 100 + n END, 0 FROM generate_series(1, 1000) n"
        );
        let pair = place.pair(PROJECTS, &children).await?;
        let engine = pair.engine([at_once()?])?;
        let mut options = execute();
        options.max_rows = Some(290);
        let mut left = 1_000;
        for _ in 0..4 {
            let done = repair_with(&engine, &options).await?;
            let changed = left.min(290);
            left -= changed;
            assert_eq!((done.rows_changed, done.remaining_keys > 0), (changed, left > 0), "{place:?} {done:?}");
            let there = pair.ci.scalar::<i64>("SELECT count(*) FROM builds WHERE id > 1000").await?;
            assert_eq!(u64::try_from(there)?, left, "{place:?}");
        }
        assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS, "{place:?}");
    }
    Ok(())
}

#[tokio::test]
async fn m08_a_repair_gives_a_child_that_was_committed_first_its_time_and_a_scan_does_not() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    pair.ci.execute("INSERT INTO builds VALUES (41, 4, 0)").await?;
    let engine = pair.engine([builds()?.settle_after(HOUR)])?;
    assert_eq!(counts(&scan(&engine).await?), (4, 1, 1, 0, 0));
    let mut options = execute();
    options.scan.timeout = Some(Duration::from_millis(300));
    let done = repair_with(&engine, &options).await?;
    assert_eq!((done.scan.result, done.executed, done.rows_changed), (ScanEnd::TimedOut, false, 0));
    // Its parent is committed long after the barrier, and within that time.
    let main = pair.main.clone();
    let late = Interference::at(Point::ScanDecides, async move {
        main.execute("INSERT INTO projects VALUES (4, 'four')").await?;
        Ok(())
    });
    let engine = builder(&pair)?.hook(late).definitions([builds()?.settle_after(HOUR)]).build()?;
    options.settle_after = Some(Duration::from_millis(50));
    options.scan.timeout = None;
    let done = repair_with(&engine, &options).await?;
    assert_eq!((counts(&done.scan), done.rows_changed), ((4, 0, 0, 0, 0), 0));
    Ok(())
}

#[tokio::test]
async fn l02_a_parent_that_is_back_before_the_repair_comes_to_it_keeps_its_children() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    pair.main.execute("DELETE FROM projects WHERE id <> 3").await?;
    let main = pair.main.clone();
    let back = Interference::at(Point::DeadlineSet, async move {
        main.execute("INSERT INTO projects VALUES (1, 'one')").await?;
        Ok(())
    });
    let engine = builder(&pair)?.hook(back).definitions([at_once()?]).build()?;
    let done = repair(&engine).await?;
    assert_eq!((done.repaired_keys, done.resurrected, done.rows_changed, done.remaining_keys), (1, 1, 1, 0));
    assert_eq!(table(&pair.ci, "builds").await?, ["(11,1,0)", "(12,1,4)", "(31,3,)", "(90,,0)"]);
    Ok(())
}

#[tokio::test]
async fn l08_a_key_that_the_server_refuses_is_said_and_the_others_are_repaired() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    pair.main.execute("DELETE FROM projects WHERE id <> 3").await?;
    pair.ci.execute("CREATE TABLE logs (build bigint REFERENCES builds); INSERT INTO logs VALUES (11)").await?;
    let done = repair(&pair.engine([at_once()?])?).await?;
    assert_eq!((done.repaired_keys, done.failed_keys, done.rows_changed, done.remaining_keys), (1, 1, 1, 0));
    assert_eq!((done.failed[0].reason, done.failed[0].keys), ("poisoned", 1));
    assert!(done.failed[0].error.as_deref().is_some_and(|e| e.contains("foreign key")), "{done:?}");
    assert_eq!(table(&pair.ci, "builds").await?, ["(11,1,0)", "(12,1,4)", "(31,3,)", "(90,,0)"]);
    Ok(())
}

#[tokio::test]
async fn l17_in_every_leaf_of_a_tree_only_children_of_absent_parents_go() -> Result<()> {
    let inherited = "CREATE TABLE children (id int, parent bigint); CREATE INDEX ON children (parent);
        CREATE TABLE a () INHERITS (children); CREATE INDEX ON a (parent);
        CREATE TABLE b () INHERITS (children); CREATE INDEX ON b (parent);
        INSERT INTO children SELECT n, n % 7 FROM generate_series(1, 700) n;
        INSERT INTO a SELECT n, (n + 3) % 7 FROM generate_series(1, 700) n;
        INSERT INTO b SELECT n, (n + 5) % 7 FROM generate_series(1, 700) n";
    let partitions = "CREATE TABLE children (id int, parent bigint) PARTITION BY RANGE (id);
        CREATE TABLE a PARTITION OF children FOR VALUES FROM (0) TO (800);
        CREATE TABLE b PARTITION OF children DEFAULT; CREATE INDEX ON children (parent);
        INSERT INTO children SELECT n, n % 7 FROM generate_series(1, 2100) n";
    for children in [inherited, partitions] {
        let pair = Pair::new().await?;
        let parents =
            "CREATE TABLE parents (id bigint PRIMARY KEY); INSERT INTO parents VALUES (0), (1), (2), (3), (5), (6)";
        tokio::try_join!(pair.main.execute(parents), pair.ci.execute(children))?;
        let key = loose("parents(id)", "children(parent)", OnDelete::Delete)?.settle_after(Duration::ZERO);
        let done = repair(&pair.engine([key])?).await?;
        assert_eq!((done.repaired_keys, done.rows_changed), (1, 300));
        assert_eq!(pair.ci.scalar::<i64>("SELECT count(*) FROM children WHERE parent = 4").await?, 0);
        assert_eq!(pair.ci.scalar::<i64>("SELECT count(*) FROM children").await?, 1_800);
    }
    Ok(())
}

#[tokio::test]
async fn l07_a_parent_with_very_many_children_is_repaired_to_its_end() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    pair.ci.execute("INSERT INTO builds SELECT 1000 + n, 9, 0 FROM generate_series(1, 120000) n").await?;
    let done = repair(&pair.engine([at_once()?])?).await?;
    assert_eq!((done.repaired_keys, done.rows_changed, done.remaining_keys), (1, 120_000, 0), "{done:?}");
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS);
    Ok(())
}

#[tokio::test]
async fn f01_a_repair_that_was_killed_is_finished_by_the_next_one() -> Result<()> {
    let pair = many(20_000, 2, 1).await?;
    let key: LooseForeignKey = at_once()?;
    let mut options = execute();
    options.max_orphans_percent = 100.0;
    for point in [Point::LeafCleaned, Point::CleanedUncommitted, Point::Rechecked] {
        let engine =
            installed(builder(&pair)?.hook(When::dies(point, NAME, 2)).definitions([key.clone()]).build()?).await?;
        let error = repair_with(&engine, &options).await.err().context("it was not killed")?;
        assert_eq!(error.kind, ErrorKind::Crashed, "{error}");
        lfk_tests::scenario::expire_leases(&pair.main).await?;
    }
    repair_with(&pair.engine([key])?, &options).await?;
    assert_eq!(pair.ci.scalar::<i64>("SELECT count(*) FROM builds").await?, 10_000);
    Ok(())
}

#[tokio::test]
async fn l13_a_repair_waits_for_the_lease_of_a_worker() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [at_once()?]).await?;
    delete_silently(&pair.main, "id = 1").await?;
    let lease = "UPDATE lfk.cursor SET owner = gen_random_uuid(), token = token + 1, stamp = pg_current_xact_id(),
                        lease_until = clock_timestamp() + interval";
    pair.main.execute(&format!("{lease} '1 hour'")).await?;
    let mut options = execute();
    options.scan.timeout = Some(Duration::from_secs(2));
    let done = repair_with(&engine, &options).await;
    let changed = done.as_ref().map_or(0, |done| done.rows_changed);
    assert_eq!(changed, 0, "{done:?}");
    pair.main.execute(&format!("{lease} '1 second'")).await?;
    assert_eq!(repair(&engine).await?.rows_changed, 2);
    Ok(())
}

#[tokio::test]
async fn f07_the_command_ends_with_the_documented_codes() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let cli = Cli::for_pair(
        &pair,
        "[[loose_foreign_key]]\nparent = \"main:public.projects(id)\"\nchild = \"ci:public.builds(project_id)\"\non_delete = \"delete\"\n",
    )?;
    pair.ci.execute("INSERT INTO builds SELECT 4700 + n, 4711 + n % 2, 0 FROM generate_series(1, 10) n").await?;
    let shown = cli.run(["repair", NAME]).await?.expect(0);
    assert!(shown.stdout.contains("nothing was changed") && !format!("{shown:?}").contains("4711"), "{shown:?}");
    let command = ["repair", NAME, "--execute", "--settle-after", "0s", "--format", "json"];
    let some = cli.run(command.iter().chain(&["--max-rows", "4"])).await?.expect(6);
    let answer = some.json()?;
    assert_eq!(
        (&answer["rows_changed"], &answer["executed"], &answer["name"]),
        (&4.into(), &true.into(), &NAME.into())
    );
    let all = cli.run(command).await?.expect(0).json()?;
    assert_eq!((&all["rows_changed"], &all["remaining_keys"]), (&6.into(), &0.into()));
    assert_eq!(cli.run(command).await?.expect(0).json()?["orphan_keys"], 0);
    pair.ci.execute("CREATE TABLE logs (build bigint REFERENCES builds); INSERT INTO logs VALUES (11)").await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    assert_eq!(cli.run(command).await?.expect(3).json()?["failed"][0]["reason"], "poisoned");
    pair.main.execute("TRUNCATE projects").await?;
    let empty = cli.run(["repair", NAME]).await?.expect(4);
    assert!(empty.stderr.contains("hint:"), "{empty:?}");
    cli.run(["repair", "nothing"]).await?.expect(2);
    Ok(())
}
