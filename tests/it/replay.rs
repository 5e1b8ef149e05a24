//! The children's database was restored, or has failed over: what was cleaned since is cleaned again.

use std::time::Duration;

use anyhow::{Context as _, Result};
use lfk_core::sabotage::{Point, Verdict};
use lfk_core::{Engine, ErrorKind, Replayed, Since, State};
use lfk_tests::scenario::{PATIENCE, activate, active, drain, expire_leases};
use lfk_tests::{Cli, Pair, Signal, TestDb, eventually};

use crate::clean_support::{ALL_BUILDS, BUILDS, PROJECTS, builder, table};
use crate::fault_hook::{At, SOON, Task};
use crate::log_support::{RETENTION, When, age, builds, let_pass, rows_in_leaf, tick, trail};
use crate::ring_support::Scene;

const NAME: &str = "builds.project_id";

const DEFINITION: &str = "[[loose_foreign_key]]
parent = \"main:public.projects(id)\"
child = \"ci:public.builds(project_id)\"
on_delete = \"delete\"";

const HOUR: Duration = Duration::from_secs(3600);

/// Builds of project 1 and 2 come back, as with a backup.
const BACKUP: &str = "INSERT INTO builds VALUES (11, 1, 0), (12, 1, 4), (21, 2, 0) ON CONFLICT DO NOTHING";

async fn replay(engine: &Engine, since: Since) -> Result<Replayed> {
    engine.replay(&[NAME.to_owned()], since, false).await?.into_iter().next().context("no answer")
}

/// Everything that a replay may change, and nothing that a lease does.
async fn cursors(home: &TestDb) -> Result<Vec<String>> {
    table(
        home,
        "(SELECT consumer, token, prev::text, prev_at, cur::text, pos_xid, pos_id, observed_keys FROM lfk.cursor) c",
    )
    .await
}

/// Project 1 was deleted three hours ago and project 2 just now; both are cleaned, and then the backup comes back.
async fn old_and_new() -> Result<(Pair, Engine)> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [builds()?]).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    drain(&engine).await?;
    let_pass(&pair.main, "3 hours").await?;
    pair.main.execute("DELETE FROM projects WHERE id = 2").await?;
    drain(&engine).await?;
    // The second visit of the old one, too, is made before the backup brings its children back.
    trail(&engine, &pair.main).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[3..]);
    pair.ci.execute(BACKUP).await?;
    Ok((pair, engine))
}

#[tokio::test]
async fn f03_a_replay_cleans_again_what_was_deleted_since_and_says_how_much_that_is() -> Result<()> {
    let (pair, engine) = old_and_new().await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS, "nobody looks at it again by itself");
    let replayed = replay(&engine, Since::Ago(HOUR)).await?;
    assert_eq!((replayed.state, replayed.rewound, replayed.accepted), (State::Active, true, false));
    assert_eq!((replayed.keys, replayed.keys_is_lower_bound, replayed.markers), (1, false, 0));
    assert!(replayed.start.is_some(), "it went back to a tick");
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(11,1,0)", "(12,1,4)", "(31,3,)", "(90,,0)"]);
    // Further back than the first tick, with a log of which nothing was ever retired.
    let replayed = replay(&engine, Since::Ago(6 * HOUR)).await?;
    assert_eq!((replayed.keys, replayed.start), (2, None));
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[3..]);
    assert_eq!(table(&pair.ci, "bystanders").await?, ALL_BUILDS);
    let audit = "(SELECT event, detail->>'start' IS NULL, detail->>'accepted' FROM lfk.audit WHERE event = 'replay'
        ORDER BY id) a";
    assert_eq!(table(&pair.main, audit).await?, ["(replay,f,false)", "(replay,t,false)"]);
    Ok(())
}

#[tokio::test]
async fn f03_a_parent_that_is_back_keeps_its_children_in_a_replay() -> Result<()> {
    let (pair, engine) = old_and_new().await?;
    pair.main.execute("INSERT INTO projects VALUES (1, 'one again')").await?;
    replay(&engine, Since::Ago(6 * HOUR)).await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(11,1,0)", "(12,1,4)", "(31,3,)", "(90,,0)"]);
    Ok(())
}

#[tokio::test]
async fn f03_a_late_child_that_only_the_second_visit_had_removed_is_removed_again() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [builds()?.settle_after(HOUR)]).await?;
    let_pass(&pair.main, "30 minutes").await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    drain(&engine).await?;
    let_pass(&pair.main, "2 hours").await?;
    trail(&engine, &pair.main).await?;
    // A backup of before that visit, and of long after the delete.
    pair.ci.execute("INSERT INTO builds VALUES (13, 1, 7)").await?;
    let replayed = replay(&engine, Since::Ago(HOUR + Duration::from_secs(600))).await?;
    assert_eq!(replayed.keys, 1);
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    Ok(())
}

#[tokio::test]
async fn f03_both_visits_go_back() -> Result<()> {
    let (pair, engine) = old_and_new().await?;
    let_pass(&pair.main, "10 minutes").await?;
    trail(&engine, &pair.main).await?;
    let visits = "SELECT keys_total::text FROM lfk.cursor ORDER BY settle IS NULL";
    let two = Some("2".to_owned());
    assert_eq!(pair.main.rows(visits).await?, [[two.clone()], [two]]);
    replay(&engine, Since::Ago(HOUR)).await?;
    trail(&engine, &pair.main).await?;
    drain(&engine).await?;
    let three = Some("3".to_owned());
    assert_eq!(pair.main.rows(visits).await?, [[three.clone()], [three]]);
    Ok(())
}

#[tokio::test]
async fn f03_a_replay_skips_nothing_that_was_not_visited_yet() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [builds()?]).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    let_pass(&pair.main, "3 hours").await?;
    let before = "SELECT string_agg(prev::text, ' ') FROM lfk.cursor";
    assert_eq!(pair.main.scalar::<String>(before).await?, "1:1: 1:1:");
    let replayed = replay(&engine, Since::Ago(HOUR)).await?;
    assert_eq!(replayed.keys, 0, "none was deleted since then");
    assert_eq!(pair.main.scalar::<String>(before).await?, "1:1: 1:1:");
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    Ok(())
}

#[tokio::test]
async fn f03_what_an_open_window_has_passed_since_is_visited_again() -> Result<()> {
    let (pair, engine) = old_and_new().await?;
    // A worker has stopped in the middle of a window that began long before, behind everything that is in it.
    pair.main
        .execute(
            "UPDATE lfk.cursor SET prev = '1:1:', prev_at = '-infinity', cur = pg_current_snapshot(), cur_at = now(),
                    pos_xid = (SELECT max(xid::text::bigint)::text::xid8 FROM lfk.key_log), pos_id = 9223372036854775806,
                    stamp = pg_current_xact_id() WHERE settle IS NULL",
        )
        .await?;
    replay(&engine, Since::Ago(HOUR)).await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[3..], "the window began before both");
    Ok(())
}

#[tokio::test]
async fn f03_a_transaction_that_was_open_at_that_time_counts_by_its_commit() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [builds()?]).await?;
    let mut application = pair.main.connect().await?;
    sqlx::raw_sql("BEGIN; DELETE FROM projects WHERE id = 1").execute(&mut application).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 2").await?;
    let_pass(&pair.main, "3 hours").await?;
    sqlx::raw_sql("COMMIT").execute(&mut application).await?;
    drain(&engine).await?;
    pair.ci.execute(BACKUP).await?;
    assert_eq!(replay(&engine, Since::Ago(HOUR)).await?.keys, 1);
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(21,2,0)", "(31,3,)", "(90,,0)"]);
    Ok(())
}

#[tokio::test]
async fn f03_a_truncate_since_then_is_swept_again() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [builds()?.settle_after(Duration::ZERO)]).await?;
    let_pass(&pair.main, "3 hours").await?;
    pair.main.execute("TRUNCATE projects; INSERT INTO projects VALUES (3, 'three')").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[3..]);
    pair.ci.execute(BACKUP).await?;
    let replayed = replay(&engine, Since::Ago(HOUR)).await?;
    assert_eq!((replayed.keys, replayed.markers), (0, 1));
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[3..]);
    Ok(())
}

#[tokio::test]
async fn f03_a_paused_definition_goes_back_and_waits_and_an_observing_one_stays() -> Result<()> {
    let (pair, engine) = old_and_new().await?;
    engine.set_state(&[NAME.to_owned()], State::Paused, false).await?;
    let replayed = replay(&engine, Since::Ago(HOUR)).await?;
    assert_eq!((replayed.state, replayed.rewound, replayed.keys), (State::Paused, true, 1));
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS);
    activate(&engine).await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(11,1,0)", "(12,1,4)", "(31,3,)", "(90,,0)"]);

    engine.set_state(&[NAME.to_owned()], State::Observe, false).await?;
    drain(&engine).await?;
    let before = cursors(&pair.main).await?;
    let replayed = replay(&engine, Since::Ago(HOUR)).await?;
    assert_eq!((replayed.state, replayed.rewound), (State::Observe, false));
    assert_eq!(cursors(&pair.main).await?, before);
    activate(&engine).await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[3..], "activating begins at the start of the log");
    Ok(())
}

#[tokio::test]
async fn f03_a_time_that_the_log_no_longer_keeps_or_that_is_to_come_is_refused() -> Result<()> {
    let scene = Scene::ready().await?;
    let main = scene.main();
    let all = [NAME.to_owned(), "notes.project_id".to_owned()];
    // Nothing was retired yet: it may go back to the start.
    assert_eq!(scene.both.replay(&all, Since::Ago(30 * HOUR), false).await?.len(), 2);
    drain(&scene.both).await?;
    trail(&scene.both, main).await?;
    assert_eq!(scene.retire().await?, 0);
    let before = cursors(main).await?;
    let cli = Cli::for_pair(&scene.pair, &format!("{DEFINITION}\n{}", DEFINITION.replace("builds", "notes")))?;
    let refused = cli.run(["replay", "--all", "--since", "30h"]).await?.expect(4).stderr;
    assert!(refused.contains("no longer keeps everything"), "{refused}");
    let future = cli.run(["replay", "--all", "--since", "2999-01-01T00:00:00Z"]).await?.expect(4).stderr;
    assert!(future.contains("still to come"), "{future}");
    cli.run(["replay", "--all", "--since", "1969-12-31T23:00:00Z"]).await?.expect(4);
    cli.run(["replay", "nobody", "--since", "1h"]).await?.expect(2);
    cli.run(["replay", "--all", "--since", "2026-01-01"]).await?.expect(2);
    assert_eq!(cursors(main).await?, before);
    assert_eq!(main.scalar::<i64>("SELECT count(*) FROM lfk.audit WHERE event = 'replay'").await?, 2);

    let oldest = refused.rsplit_once(" is ").context("no time is named")?.1.trim().to_owned();
    let table = cli.run(["replay", "--all", "--since", &oldest]).await?.expect(0).stdout;
    assert!(table.contains(NAME) && table.contains("FROM"), "{table}");
    assert_ne!(cursors(main).await?, before);
    Ok(())
}

#[tokio::test]
async fn f03_what_a_paused_cursor_has_not_passed_needs_nothing_that_was_retired() -> Result<()> {
    let scene = Scene::ready().await?;
    let main = scene.main();
    assert_eq!(scene.retire().await?, 0);
    scene.both.set_state(&[NAME.to_owned()], State::Paused, false).await?;
    main.execute("DELETE FROM projects WHERE id = 2").await?;
    // The ticks of that time are forgotten, the cursor is not.
    age(main, "40 hours").await?;
    main.execute("DELETE FROM lfk.tick").await?;
    tick(main).await?;
    let replayed = replay(&scene.ours, Since::Ago(HOUR)).await?;
    assert!(replayed.rewound);
    activate(&scene.ours).await?;
    drain(&scene.ours).await?;
    assert_eq!(table(&scene.pair.ci, "builds").await?, ALL_BUILDS[3..]);
    Ok(())
}

#[tokio::test]
async fn f03_a_worker_in_the_middle_of_a_window_does_not_undo_a_replay() -> Result<()> {
    for point in [Point::Opened, Point::PageRead, Point::Rechecked, Point::LeafCleaned, Point::BatchDone, Point::Closed]
    {
        let (pair, engine) = old_and_new().await?;
        pair.main.execute("DELETE FROM projects WHERE id = 3").await?;
        let operator = engine.clone();
        let hook = At::the(point, 1, move || {
            let operator = operator.clone();
            async move { replay(&operator, Since::Ago(6 * HOUR)).await.map(|_| ()) }
        });
        let worker = builder(&pair)?.hook(hook.clone()).definitions([builds()?]).build()?;
        drain(&worker).await?;
        assert!(hook.passings.of(point) >= 2, "{point:?}: it began anew");
        assert_eq!(table(&pair.ci, "builds").await?, ["(90,,0)"], "{point:?}");
        assert_eq!(table(&pair.ci, "bystanders").await?, ALL_BUILDS, "{point:?}");
    }
    Ok(())
}

#[tokio::test]
async fn f03_a_worker_in_the_middle_of_a_sweep_begins_it_anew() -> Result<()> {
    for point in [Point::SweepBegun, Point::SweepRead, Point::SweepStored] {
        let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
        let at_once = || Ok::<_, anyhow::Error>(builds()?.settle_after(Duration::ZERO));
        let engine = active(&pair, [at_once()?]).await?;
        pair.main.execute("TRUNCATE projects").await?;
        let (operator, ci) = (engine.clone(), pair.ci.clone());
        let hook = At::the(point, 1, move || {
            let (operator, ci) = (operator.clone(), ci.clone());
            async move {
                ci.execute("INSERT INTO builds VALUES (1, 1, 1)").await?;
                replay(&operator, Since::Ago(HOUR)).await.map(|_| ())
            }
        });
        drain(&builder(&pair)?.hook(hook).definitions([at_once()?]).build()?).await?;
        assert_eq!(table(&pair.ci, "builds").await?, ["(90,,0)"], "{point:?}");
    }
    Ok(())
}

#[tokio::test]
async fn f03_nobody_goes_back_while_a_leaf_is_retired() -> Result<()> {
    let scene = Scene::ready().await?;
    let impatient = scene.builder()?.patience(Duration::from_millis(300)).build()?;
    let hook = When::passing(move |point, _| {
        let impatient = impatient.clone();
        async move {
            if point == Point::LeafLocked {
                let refused = replay(&impatient, Since::Ago(HOUR)).await.err().context("it went back")?;
                let refused = refused.downcast::<lfk_core::Error>()?;
                assert_eq!(refused.kind, ErrorKind::TimedOut, "{refused}");
                assert!(refused.message.contains("stayed locked"), "{refused}");
            }
            Ok(Verdict::GoOn)
        }
    });
    drain(&scene.builder()?.hook(hook).build()?).await?;
    assert_eq!(rows_in_leaf(scene.main(), scene.leaf).await?, 0);
    let refused = replay(&scene.ours, Since::Ago(HOUR)).await.err().context("the key is gone")?;
    assert_eq!(refused.downcast::<lfk_core::Error>()?.kind, ErrorKind::Refused);
    Ok(())
}

/// A replay that waits for a cursor, with the ring in its hands.
async fn waits(main: &TestDb) -> Result<()> {
    let waiting = "SELECT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datname = current_database()
        AND a.wait_event_type = 'Lock' AND a.query LIKE '%FOR UPDATE%')";
    eventually("it waits for the cursor", PATIENCE, async || main.scalar(waiting).await).await
}

#[tokio::test]
async fn f03_what_a_replay_needs_is_not_retired_under_it() -> Result<()> {
    let scene = Scene::ready().await?;
    let main = scene.main();
    let mut worker = main.connect().await?;
    let locked = "BEGIN; SELECT FROM lfk.cursor WHERE consumer = 'builds.project_id' FOR UPDATE";
    sqlx::raw_sql(locked).execute(&mut worker).await?;
    let operator = scene.ours.clone();
    let replaying = Task::spawn(async move { replay(&operator, Since::Ago(30 * HOUR)).await });
    waits(main).await?;
    // A daemon that knows neither, and retires all the same.
    let retirer = scene.pair.engine([lfk_tests::scenario::loose(
        "projects(id)",
        "notes(project_id)",
        lfk_core::OnDelete::Delete,
    )?])?;
    drain(&builder_of(&retirer)?).await?;
    assert_eq!(rows_in_leaf(main, scene.leaf).await?, 1, "the ring is held");
    sqlx::raw_sql("ROLLBACK").execute(&mut worker).await?;
    assert_eq!(replaying.end().await??.keys, 1);
    assert_eq!(rows_in_leaf(main, scene.leaf).await?, 1);
    assert_eq!(scene.retire().await?, 1, "the second visit needs it now");
    Ok(())
}

fn builder_of(engine: &Engine) -> Result<Engine> {
    let mut builder = Engine::builder().retention(RETENTION);
    for database in engine.databases() {
        builder = builder.database(database.clone());
    }
    Ok(builder.definitions(engine.definitions().to_vec()).build()?)
}

#[tokio::test]
async fn f03_that_the_log_has_everything_is_asked_again_under_the_lock() -> Result<()> {
    let scene = Scene::ready().await?;
    let main = scene.main();
    let mut worker = main.connect().await?;
    let locked = "BEGIN; SELECT FROM lfk.cursor WHERE consumer = 'builds.project_id' FOR UPDATE";
    sqlx::raw_sql(locked).execute(&mut worker).await?;
    let before = cursors(main).await?;
    let operator = scene.ours.clone();
    let replaying = Task::spawn(async move { replay(&operator, Since::Ago(30 * HOUR)).await });
    waits(main).await?;
    // As if a leaf had been retired after the first look.
    main.execute("INSERT INTO lfk.retired (snap) VALUES (pg_current_snapshot())").await?;
    sqlx::raw_sql("ROLLBACK").execute(&mut worker).await?;
    let refused = replaying.end().await?.err().context("it went back")?.downcast::<lfk_core::Error>()?;
    assert_eq!(refused.kind, ErrorKind::Refused, "{refused}");
    assert_eq!(cursors(main).await?, before);
    Ok(())
}

#[tokio::test]
async fn f03_a_replay_that_is_killed_has_changed_nothing_and_is_made_by_the_next() -> Result<()> {
    let (pair, engine) = old_and_new().await?;
    let before = cursors(&pair.main).await?;
    let mut worker = pair.main.connect().await?;
    let locked = "BEGIN; SELECT FROM lfk.cursor WHERE consumer LIKE '%~trailing' FOR UPDATE";
    sqlx::raw_sql(locked).execute(&mut worker).await?;
    let cli = Cli::for_pair(&pair, DEFINITION)?;
    let mut killed = cli.spawn(["replay", NAME, "--since", "1h"])?;
    waits(&pair.main).await?;
    killed.signal(Signal::Kill)?;
    killed.wait(SOON).await?.expect(137);
    sqlx::raw_sql("ROLLBACK").execute(&mut worker).await?;
    let ring = "SELECT NOT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND database =
        (SELECT oid FROM pg_database WHERE datname = current_database()))";
    eventually("its transaction has ended", PATIENCE, async || pair.main.scalar(ring).await).await?;
    assert_eq!(cursors(&pair.main).await?, before);
    let json = cli.run(["replay", NAME, "--since", "1h", "--format", "json"]).await?.expect(0).json()?;
    assert_eq!(json["loose_foreign_keys"][0]["keys"], 1);
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(11,1,0)", "(12,1,4)", "(31,3,)", "(90,,0)"]);
    Ok(())
}

#[tokio::test]
async fn f03_children_put_back_in_time_are_refused_until_somebody_says_that_they_are_the_right_ones() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [builds()?]).await?;
    let_pass(&pair.main, "3 hours").await?;
    // The backup.
    let nonce: String = pair.ci.scalar("SELECT nonce::text FROM lfk.peer").await?;
    for project in [1, 2] {
        pair.main.execute(&format!("DELETE FROM projects WHERE id = {project}")).await?;
        drain(&engine).await?;
    }
    pair.ci.execute(&format!("{BACKUP}; UPDATE lfk.peer SET nonce = '{nonce}'")).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 3").await?;

    let refused = engine.run_until_drained(Some(PATIENCE)).await.err().context("it was not refused")?;
    assert_eq!(refused.kind, ErrorKind::Refused, "{refused}");
    assert!(refused.hint.as_deref().is_some_and(|hint| hint.contains("lfk replay builds.project_id --restored")));
    replay(&engine, Since::Ago(HOUR)).await?;
    assert_eq!(engine.run_once().await.err().map(|e| e.kind), Some(ErrorKind::Refused), "nobody has said so");
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS);

    let cli = Cli::for_pair(&pair, DEFINITION)?;
    let said = cli.run(["replay", "--all", "--since", "1h", "--restored"]).await?.expect(0).stdout;
    assert!(said.contains("accepted as it is now"), "{said}");
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(90,,0)"]);
    // Once they agree there is nothing to accept.
    let again = engine.replay(&[NAME.to_owned()], Since::Ago(HOUR), true).await?;
    assert!(!again[0].accepted && again[0].rewound);
    drain(&engine).await?;
    let accepted = "SELECT string_agg(detail->>'accepted', ' ' ORDER BY id) FROM lfk.audit WHERE event = 'replay'";
    assert_eq!(pair.main.scalar::<String>(accepted).await?, "false true false");
    Ok(())
}

#[tokio::test]
async fn l18_another_database_is_not_accepted_whatever_somebody_says() -> Result<()> {
    let (pair, engine) = old_and_new().await?;
    let before = cursors(&pair.main).await?;
    let foreign = "UPDATE lfk.identity SET id = gen_random_uuid(), stamp = pg_current_xact_id()";
    let copy = "UPDATE lfk.identity SET database_oid = 1, stamp = pg_current_xact_id()";
    for sql in [foreign, copy] {
        pair.ci.execute(sql).await?;
        let refused = engine.replay(&[NAME.to_owned()], Since::Ago(HOUR), true).await.err().context("accepted")?;
        assert_eq!((refused.kind, refused.database.as_deref()), (ErrorKind::Refused, Some("ci")), "{refused}");
    }
    assert_eq!(cursors(&pair.main).await?, before);
    Ok(())
}

#[tokio::test]
async fn f03_a_worker_that_dies_after_a_replay_loses_nothing() -> Result<()> {
    let (pair, engine) = old_and_new().await?;
    replay(&engine, Since::Ago(6 * HOUR)).await?;
    let mortal = builder(&pair)?.hook(When::dies(Point::LeafCleaned, NAME, 1)).definitions([builds()?]).build()?;
    let error = mortal.start().died().await;
    assert_eq!(error.kind, ErrorKind::Crashed, "{error}");
    expire_leases(&pair.main).await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[3..]);
    Ok(())
}

#[tokio::test]
async fn f07_a_replay_before_the_installation_says_what_to_do() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = pair.engine([builds()?])?;
    let refused = engine.replay(&[NAME.to_owned()], Since::Ago(HOUR), false).await.err().context("there is none")?;
    assert_eq!((refused.kind, refused.hint.as_deref()), (ErrorKind::NotInstalled, Some("run `lfk install`")));
    Ok(())
}
