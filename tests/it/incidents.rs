//! What went wrong in other systems and is not covered by another test. The whole list is in docs/incidents.md.

use std::time::Duration;

use anyhow::Result;
use lfk_core::sabotage::{Point, Verdict};
use lfk_core::{OnDelete, State};
use lfk_tests::Pair;
use lfk_tests::scenario::{PATIENCE, active, as_installer, drain, loose};
use tokio::sync::watch;

use crate::clean_support::{
    ALL_BUILDS, BUILDS, PROJECTS, THOUSAND_BUILDS, THOUSAND_PROJECTS, activated, builder, table,
};
use crate::log_support::{NOTES, When, builds, notes, settle};
use crate::ring_support::Scene;

#[tokio::test]
async fn incident_l02_definitions_are_worked_on_at_the_same_time() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, &format!("{BUILDS} {NOTES}")).await?;
    // Each holds its own batch until the other one has begun.
    let begun = watch::Sender::new(Vec::<String>::new());
    let hook = When::passing(move |point, who| {
        let begun = begun.clone();
        async move {
            if point == Point::CleanedUncommitted {
                begun.send_modify(|all| all.push(who));
                let mut all = begun.subscribe();
                let both = all.wait_for(|all| all.iter().any(|one| one != &all[0]));
                tokio::time::timeout(PATIENCE, both).await??;
            }
            Ok(Verdict::GoOn)
        }
    });
    let engine = activated(builder(&pair)?.hook(hook), [builds()?, notes()?]).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    assert_eq!(table(&pair.ci, "notes").await?, ["(2,2)", "(3,3)"]);
    Ok(())
}

#[tokio::test]
async fn incident_l05_what_hangs_on_a_child_by_a_real_foreign_key_is_named_and_goes_with_it() -> Result<()> {
    let steps =
        "CREATE TABLE steps (id bigint PRIMARY KEY, build_id bigint NOT NULL REFERENCES builds ON DELETE CASCADE);
        CREATE INDEX ON steps (build_id); INSERT INTO steps VALUES (1, 11), (2, 11), (3, 12), (4, 21), (5, 90)";
    let pair = Pair::with_schema(PROJECTS, &format!("{BUILDS} {steps}")).await?;
    let engine = active(&pair, [builds()?]).await?;
    let plan = engine.plan().await?;
    assert!(plan.loose_foreign_keys[0].findings.iter().any(|f| f.code == "nested_cascade"), "{plan:?}");
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    assert_eq!(table(&pair.ci, "steps").await?, ["(4,21)", "(5,90)"]);
    Ok(())
}

#[tokio::test]
async fn incident_l22_a_backlog_of_many_batches_is_one_turn() -> Result<()> {
    let pair = Pair::with_schema(THOUSAND_PROJECTS, THOUSAND_BUILDS).await?;
    let passed = watch::Sender::new((0, 0));
    let counting = passed.clone();
    let hook = When::passing(move |point, _| {
        counting.send_modify(|(turns, batches)| match point {
            Point::Claimed => *turns += 1,
            Point::BatchDone => *batches += 1,
            _ => {}
        });
        async { Ok(Verdict::GoOn) }
    });
    let engine = activated(builder(&pair)?.hook(hook), [builds()?]).await?;
    pair.main.execute("DO $$ BEGIN FOR i IN 1..1000 LOOP DELETE FROM projects WHERE id = i; END LOOP; END $$").await?;
    engine.run_once().await?;
    assert_eq!(table(&pair.ci, "builds").await?, [""; 0]);
    let (turns, batches) = *passed.borrow();
    assert!(turns == 1 && batches > 1, "{turns} turns, {batches} batches");
    Ok(())
}

#[tokio::test]
async fn incident_l28_nothing_is_kept_in_comments_which_a_restore_may_lose() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [builds()?]).await?;
    for db in [&pair.main, &pair.ci] {
        db.execute(
            "DELETE FROM pg_description d USING pg_class c WHERE d.objoid = c.oid AND c.relnamespace = 'lfk'::regnamespace;
             DELETE FROM pg_description d USING pg_proc p WHERE d.objoid = p.oid AND p.pronamespace = 'lfk'::regnamespace;
             DELETE FROM pg_description d WHERE d.objoid = 'lfk'::regnamespace",
        )
        .await?;
    }
    let again = &as_installer(&engine)?.install().await?[0];
    assert_eq!((again.outcome, again.state, again.triggers_created), ("unchanged", State::Active, 0));
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    Ok(())
}

#[tokio::test]
async fn incident_l29_a_worker_that_does_not_know_a_definition_neither_takes_it_nor_stands_in_its_way() -> Result<()> {
    let links = "CREATE TABLE links (id bigint PRIMARY KEY, project_id bigint); CREATE INDEX ON links (project_id);
        INSERT INTO links VALUES (1, 1), (2, 2);";
    let pair = Pair::with_schema(PROJECTS, &format!("{BUILDS} {NOTES} {links}")).await?;
    let links = loose("projects(id)", "links(project_id)", OnDelete::Delete)?;
    let all = active(&pair, [builds()?, notes()?, links.clone()]).await?;
    let claimed = watch::Sender::new(Vec::<String>::new());
    let claims = claimed.clone();
    let hook = When::passing(move |point, who| {
        if point == Point::Claimed {
            claims.send_modify(|all| all.push(who));
        }
        async { Ok(Verdict::GoOn) }
    });
    let ignorant = builder(&pair)?.hook(hook).definitions([builds()?]).build()?;
    let running = ignorant.start();
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    let mut first = claimed.subscribe();
    tokio::time::timeout(PATIENCE, first.wait_for(|all| !all.is_empty())).await??;
    // It is alive and counts as a worker, whose share of the work it cannot do.
    drain(&all).await?;
    running.shutdown().await?;
    assert!(claimed.borrow().iter().all(|who| who.starts_with("builds.")), "{:?}", claimed.borrow());
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    assert_eq!(table(&pair.ci, "notes").await?, ["(2,2)", "(3,3)"]);
    assert_eq!(table(&pair.ci, "links").await?, ["(2,2)"]);
    Ok(())
}

#[tokio::test]
async fn incident_l32_who_activates_is_told_how_many_keys_have_left_the_log() -> Result<()> {
    let scene = Scene::new().await?;
    let names = ["notes.project_id".to_owned()];
    scene.both.set_state(&names, State::Observe, false).await?;
    scene.main().execute("DELETE FROM projects WHERE id <= 2").await?;
    settle(&scene.both, scene.main()).await?;
    assert_eq!(scene.retire().await?, 0, "who observes does not hold the log");
    let change = &scene.both.set_state(&names, State::Active, false).await?[0];
    assert_eq!((change.rewound, change.keys_left_log), (true, 2));
    Ok(())
}

#[tokio::test]
async fn incident_l20_nothing_is_cleaned_by_installing_or_building_an_engine() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [builds()?]).await?;
    let leases = "SELECT sum(token)::int8 FROM lfk.cursor";
    let before: i64 = pair.main.scalar(leases).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    as_installer(&engine)?.install().await?;
    engine.plan().await?;
    as_installer(&pair.engine([builds()?.settle_after(Duration::from_secs(1))])?)?.install().await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS);
    assert_eq!(pair.main.scalar::<i64>(leases).await?, before, "nobody took a lease");
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    Ok(())
}
