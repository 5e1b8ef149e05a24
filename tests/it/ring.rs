//! Leaves of the key log are retired when nobody needs them any more, and not one moment before.

use std::time::Duration;

use anyhow::Result;
use lfk_core::sabotage::{Point, Verdict};
use lfk_core::{ErrorKind, State};
use lfk_sql::statements;
use lfk_tests::Pair;
use lfk_tests::scenario::{active, as_installer, drain, expire_leases};

use crate::clean_support::{ALL_BUILDS, BUILDS, PROJECTS, activated, builder, table};
use crate::log_support::{
    NOTES, RETENTION, When, age, builds, let_pass, notes, quiet_leaf, rows_in_leaf, settle, tick, trail, write_to_leaf,
};
use crate::ring_support::Scene;

#[tokio::test]
async fn l05_a_leaf_is_retired_when_everybody_has_passed_it_and_the_retention_is_over() -> Result<()> {
    let scene = Scene::new().await?;
    let main = scene.main();
    main.execute("DELETE FROM projects WHERE id = 1").await?;
    drain(&scene.both).await?;
    // Another leaf, whose row nobody has passed a second time.
    let other = (scene.leaf + 1) % 8;
    let_pass(main, "20 minutes").await?;
    write_to_leaf(main, other).await?;
    main.execute("DELETE FROM projects WHERE id = 2").await?;
    trail(&scene.both, main).await?;
    drain(&scene.both).await?;
    assert_eq!((rows_in_leaf(main, scene.leaf).await?, rows_in_leaf(main, other).await?), (0, 1));
    assert_eq!(table(&scene.pair.ci, "builds").await?, ALL_BUILDS[3..]);
    assert_eq!(table(&scene.pair.ci, "notes").await?, ["(3,3)"]);
    Ok(())
}

#[tokio::test]
async fn l05_a_leaf_is_kept_while_a_cursor_of_an_active_or_paused_definition_needs_it() -> Result<()> {
    for (behind, ahead) in
        [("notes.project_id", "notes.project_id~trailing"), ("notes.project_id~trailing", "notes.project_id")]
    {
        for state in [State::Active, State::Paused] {
            let scene = Scene::new().await?;
            let main = scene.main();
            scene.both.set_state(&["notes.project_id".to_owned()], state, false).await?;
            main.execute("DELETE FROM projects WHERE id = 1").await?;
            settle(&scene.ours, main).await?;
            scene.forward(ahead).await?;
            assert_eq!(scene.retire().await?, 1, "{behind} needs it, {state}");
            scene.forward(behind).await?;
            assert_eq!(scene.retire().await?, 0, "nobody needs it, {state}");
        }
    }
    Ok(())
}

#[tokio::test]
async fn l05_a_worker_that_finds_the_log_kept_for_it_loses_nothing() -> Result<()> {
    let scene = Scene::new().await?;
    let main = scene.main();
    main.execute("DELETE FROM projects WHERE id = 1").await?;
    settle(&scene.ours, main).await?;
    age(main, "30 days").await?;
    assert_eq!(scene.retire().await?, 1);
    assert_eq!(table(&scene.pair.ci, "notes").await?, ["(1,1)", "(2,2)", "(3,3)"], "for a month nobody worked on it");
    settle(&scene.both, main).await?;
    assert_eq!(table(&scene.pair.ci, "notes").await?, ["(2,2)", "(3,3)"]);
    assert_eq!(scene.retire().await?, 0);
    Ok(())
}

#[tokio::test]
async fn l05_a_leaf_is_kept_for_a_window_that_was_left_open() -> Result<()> {
    let scene = Scene::new().await?;
    let main = scene.main();
    main.execute("DELETE FROM projects WHERE id = 1").await?;
    // It dies when everything is done and the window is not closed.
    let hook = When::dies(Point::BatchDone, "notes.project_id", 1);
    let error = builder(&scene.pair)?.hook(hook).definitions([notes()?]).build()?.start().died().await;
    assert_eq!(error.kind, ErrorKind::Crashed, "{error}");
    assert_eq!(main.scalar::<i64>("SELECT count(*) FROM lfk.cursor WHERE cur IS NOT NULL").await?, 1);
    scene.forward("notes.project_id~trailing").await?;
    settle(&scene.ours, main).await?;
    assert_eq!(scene.retire().await?, 1);
    expire_leases(main).await?;
    drain(&scene.both).await?;
    assert_eq!(scene.retire().await?, 0);
    Ok(())
}

#[tokio::test]
async fn l05_an_observing_definition_holds_nothing() -> Result<()> {
    let scene = Scene::new().await?;
    let main = scene.main();
    scene.both.set_state(&["notes.project_id".to_owned()], State::Observe, false).await?;
    main.execute("DELETE FROM projects WHERE id = 1").await?;
    settle(&scene.ours, main).await?;
    assert_eq!(scene.retire().await?, 0);
    assert_eq!(
        main.scalar::<String>("SELECT prev::text FROM lfk.cursor WHERE consumer = 'notes.project_id'").await?,
        "1:1:"
    );
    Ok(())
}

#[tokio::test]
async fn l05_a_definition_that_is_removed_leaves_nothing_pending_and_lets_go_of_the_log() -> Result<()> {
    let scene = Scene::new().await?;
    let main = scene.main();
    scene.both.set_state(&["notes.project_id".to_owned()], State::Paused, false).await?;
    main.execute("DELETE FROM projects WHERE id = 1").await?;
    settle(&scene.ours, main).await?;
    assert_eq!(scene.retire().await?, 1);
    // By whoever installed it, who need not be who works.
    as_installer(&scene.pair.engine([builds()?, notes()?])?)?.uninstall(&["notes.project_id".to_owned()]).await?;
    assert_eq!(scene.retire().await?, 0);
    let left =
        "SELECT (SELECT count(*) FROM lfk.cursor WHERE definition LIKE 'notes%') + (SELECT count(*) FROM lfk.retry)
                     + (SELECT count(*) FROM lfk.sweep)";
    assert_eq!(main.scalar::<i64>(left).await?, 0);
    // The other one goes on.
    main.execute("DELETE FROM projects WHERE id = 2").await?;
    drain(&scene.ours).await?;
    assert_eq!(table(&scene.pair.ci, "builds").await?, ALL_BUILDS[3..]);
    assert_eq!(table(&scene.pair.ci, "notes").await?, ["(1,1)", "(2,2)", "(3,3)"]);
    Ok(())
}

#[tokio::test]
async fn l05_a_definition_that_is_added_later_cleans_what_the_log_still_holds() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, &format!("{BUILDS} {NOTES}")).await?;
    let first = active(&pair, [builds()?]).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    drain(&first).await?;
    let both = active(&pair, [builds()?, notes()?]).await?;
    drain(&both).await?;
    assert_eq!(table(&pair.ci, "notes").await?, ["(2,2)", "(3,3)"]);
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    Ok(())
}

#[tokio::test]
async fn l05_a_leaf_is_kept_until_a_tick_older_than_the_retention_has_seen_it() -> Result<()> {
    let scene = Scene::new().await?;
    let main = scene.main();
    // Old enough, but it has not seen the row.
    let_pass(main, "1 hour").await?;
    main.execute("DELETE FROM projects WHERE id = 1").await?;
    drain(&scene.both).await?;
    tick(main).await?;
    age(main, "9 minutes").await?;
    trail(&scene.both, main).await?;
    assert_eq!(scene.retire().await?, 1, "nine minutes");
    main.execute("DELETE FROM lfk.tick WHERE at > clock_timestamp() - interval '30 minutes'").await?;
    age(main, "2 hours").await?;
    assert_eq!(scene.retire().await?, 1, "no tick says that it is old");
    let_pass(main, "10 minutes").await?;
    assert_eq!(scene.retire().await?, 0);
    Ok(())
}

#[tokio::test]
async fn l05_the_leaf_that_is_written_to_is_never_retired() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = activated(builder(&pair)?.retention(RETENTION), [builds()?]).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    settle(&engine, &pair.main).await?;
    drain(&engine).await?;
    assert_eq!(pair.main.scalar::<i64>("SELECT count(*) FROM lfk.key_log").await?, 1);
    // The same row would go if its leaf were another one.
    let leaf = quiet_leaf(&pair.main).await?;
    pair.main.execute(&format!("UPDATE lfk.key_log SET leaf = {leaf}")).await?;
    drain(&engine).await?;
    assert_eq!(pair.main.scalar::<i64>("SELECT count(*) FROM lfk.key_log").await?, 0);
    Ok(())
}

#[tokio::test]
async fn l05_the_default_leaf_is_retired_like_the_others() -> Result<()> {
    let scene = Scene::new().await?;
    let main = scene.main();
    // What the DEFAULT leaf takes after somebody changed the period.
    write_to_leaf(main, 9).await?;
    main.execute("DELETE FROM projects WHERE id = 1").await?;
    settle(&scene.ours, main).await?;
    let rows = "SELECT count(*) FROM lfk.key_log_default";
    scene.retire().await?;
    assert_eq!(main.scalar::<i64>(rows).await?, 1, "notes need it");
    scene.forward("notes.project_id").await?;
    scene.forward("notes.project_id~trailing").await?;
    scene.retire().await?;
    assert_eq!(main.scalar::<i64>(rows).await?, 0);
    Ok(())
}

#[tokio::test]
async fn l05_rows_of_a_table_that_nobody_tracks_any_more_go_with_the_retention() -> Result<()> {
    let scene = Scene::ready().await?;
    let main = scene.main();
    main.execute("INSERT INTO lfk.key_log (table_id, keys) VALUES (999, '{1}')").await?;
    tick(main).await?;
    age(main, "9 minutes").await?;
    assert_ne!(scene.retire().await?, 0);
    age(main, "2 minutes").await?;
    assert_eq!(scene.retire().await?, 0);
    Ok(())
}

#[tokio::test]
async fn l05_a_retention_that_the_ring_cannot_keep_is_refused() -> Result<()> {
    let pair = Pair::new().await?;
    for wrong in [Duration::from_secs(599), Duration::from_secs(24 * 3600 + 1)] {
        let error = builder(&pair)?.retention(wrong).build().expect_err("it was accepted");
        assert_eq!(error.kind, ErrorKind::Config, "{error}");
    }
    builder(&pair)?.retention(RETENTION).build()?;
    Ok(())
}

#[tokio::test]
async fn c02_a_delete_that_waits_for_no_lock_is_not_hurt_while_a_leaf_is_retired() -> Result<()> {
    let scene = Scene::ready().await?;
    write_to_leaf(scene.main(), (scene.leaf + 1) % 8).await?;
    let application = scene.main().clone();
    let hook = When::passing(move |point, leaf| {
        let application = application.clone();
        async move {
            if point == Point::LeafLocked && !leaf.contains("default") {
                application
                    .execute("SET lock_timeout = '10ms'; DELETE FROM projects WHERE id = 2; RESET lock_timeout")
                    .await?;
            }
            Ok(Verdict::GoOn)
        }
    });
    let retirer = builder(&scene.pair)?.retention(RETENTION).hook(hook).definitions([builds()?]).build()?;
    drain(&retirer).await?;
    assert_eq!(rows_in_leaf(scene.main(), scene.leaf).await?, 0);
    assert_eq!(table(scene.main(), "projects").await?, ["(3,three)"]);
    drain(&scene.both).await?;
    assert_eq!(table(&scene.pair.ci, "builds").await?, ALL_BUILDS[3..]);
    Ok(())
}

#[tokio::test]
async fn l05_what_is_the_current_leaf_is_said_by_the_servers_clock_half_a_minute_early() -> Result<()> {
    let scene = Scene::new().await?;
    let main = scene.main();
    // A leaf lasts four hours, and this one is leaf 0.
    for (time, leaves) in [
        ("2025-01-01 07:59:45Z", vec![0, 7]),
        ("2025-01-01 08:00:00Z", vec![0]),
        ("2025-01-01 11:59:29Z", vec![0]),
        ("2025-01-01 11:59:31Z", vec![0, 1]),
        ("2025-01-01 12:00:00Z", vec![1]),
    ] {
        let sql = statements::LEAF_CURRENT.replace("clock_timestamp()", &format!("timestamptz '{time}'"));
        let mut current = Vec::new();
        for leaf in -1..=7 {
            if main.scalar::<bool>(&sql.replace("$1", &format!("({leaf})"))).await? {
                current.push(leaf);
            }
        }
        assert_eq!(current, leaves, "{time}");
    }
    let default = statements::LEAF_CURRENT.replace("$1", "(-1)");
    main.execute("ALTER TABLE lfk.key_log DETACH PARTITION lfk.key_log_3").await?;
    assert!(main.scalar::<bool>(&default).await?, "the DEFAULT leaf takes what leaf 3 would have");
    main.execute("DROP TABLE lfk.key_log_3").await?;
    assert!(main.scalar::<bool>(&default).await?);
    Ok(())
}
