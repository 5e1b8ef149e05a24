//! Who may stop the work, and what the states mean. Limits change how fast it goes, never what it does.

use anyhow::Result;
use lfk_core::sabotage::Point;
use lfk_core::{Database, Drained, Engine, Limits, LooseForeignKey, OnDelete, State};
use lfk_tests::Pair;
use lfk_tests::scenario::{PATIENCE, activate, active, drain, installed, loose};

use crate::clean_support::{ALL_BUILDS, BUILDS, Interference, PROJECTS, activated, builder, status, table};

fn builds() -> Result<LooseForeignKey> {
    loose("projects(id)", "builds(project_id)", OnDelete::Delete)
}

const NAME: &str = "builds.project_id";

/// Four batches of work and a project that stays.
const MANY_PROJECTS: &str =
    "CREATE TABLE projects (id bigint PRIMARY KEY); INSERT INTO projects SELECT generate_series(1, 2001)";
const MANY_BUILDS: &str = "CREATE TABLE builds (id bigint PRIMARY KEY, project_id bigint);
    CREATE INDEX ON builds (project_id); INSERT INTO builds SELECT n, n FROM generate_series(1, 2001) n";

/// Four batches wait. In the middle of the first one, another process says `stop`, or pauses the definition. Answers how the
/// run ended, and expects that no second batch was done.
async fn switched_off_in_the_first_batch(pair: &Pair, stop: bool) -> Result<(Engine, Drained)> {
    let other_process = pair.engine([builds()?])?;
    let switch = Interference::at(Point::CleanedUncommitted, async move {
        if stop {
            other_process.set_stopped(true).await?;
        } else {
            other_process.set_state(&[NAME.to_owned()], State::Paused, false).await?;
        }
        Ok(())
    });
    let engine = activated(builder(pair)?.hook(switch.clone()), [builds()?]).await?;
    pair.main.execute("DELETE FROM projects WHERE id <= 2000").await?;
    let end = engine.run_until_drained(Some(PATIENCE)).await?;
    assert_eq!(switch.passed(), 1, "no further statement was sent");
    assert_eq!(pair.ci.scalar::<i64>("SELECT count(*) FROM builds").await?, 1501, "only the first batch is done");
    Ok((engine, end))
}

#[tokio::test]
async fn l16_stop_acts_before_the_next_batch() -> Result<()> {
    let pair = Pair::with_schema(MANY_PROJECTS, MANY_BUILDS).await?;
    let (engine, end) = switched_off_in_the_first_batch(&pair, true).await?;
    assert_eq!(end, Drained::NeedsAttention, "stopped work waits for a person");
    let stopped = status(&engine).await?;
    assert_eq!(stopped.condition, "stopped");
    // A log row of a thousand keys that is half done still counts as a whole.
    assert!((1500..=2000).contains(&stopped.pending_keys), "{stopped:?}");

    engine.set_stopped(false).await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(2001,2001)"]);
    assert_eq!(status(&engine).await?.keys_total, 2000, "nothing is lost and nothing repeated");
    Ok(())
}

#[tokio::test]
async fn l16_pause_acts_before_the_next_batch() -> Result<()> {
    let pair = Pair::with_schema(MANY_PROJECTS, MANY_BUILDS).await?;
    let (engine, end) = switched_off_in_the_first_batch(&pair, false).await?;
    assert_eq!(end, Drained::Drained, "paused work does not count");
    let change = &engine.set_state(&[NAME.to_owned()], State::Active, false).await?[0];
    assert!(!change.rewound, "a paused definition goes on where it was");
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(2001,2001)"]);
    assert_eq!(status(&engine).await?.keys_total, 2000);
    Ok(())
}

#[tokio::test]
async fn l16_stop_holds_every_definition_and_loses_nothing() -> Result<()> {
    let notes = "CREATE TABLE notes (id bigint PRIMARY KEY, project_id bigint); CREATE INDEX ON notes (project_id);
        INSERT INTO notes VALUES (1, 1), (2, 2)";
    let pair = Pair::with_schema(PROJECTS, &format!("{BUILDS} {notes}")).await?;
    let engine = active(&pair, [builds()?, loose("projects(id)", "notes(project_id)", OnDelete::SetNull)?]).await?;
    engine.set_stopped(true).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    assert_eq!(engine.run_until_drained(Some(PATIENCE)).await?, Drained::NeedsAttention);
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS);
    assert_eq!(table(&pair.ci, "notes").await?, ["(1,1)", "(2,2)"]);
    engine.set_stopped(false).await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    assert_eq!(table(&pair.ci, "notes").await?, ["(1,)", "(2,2)"]);
    Ok(())
}

#[tokio::test]
async fn l16_one_paused_definition_holds_up_no_other() -> Result<()> {
    let notes = "CREATE TABLE notes (id bigint PRIMARY KEY, project_id bigint); CREATE INDEX ON notes (project_id);
        INSERT INTO notes VALUES (1, 1), (2, 2)";
    let pair = Pair::with_schema(PROJECTS, &format!("{BUILDS} {notes}")).await?;
    let engine = active(&pair, [builds()?, loose("projects(id)", "notes(project_id)", OnDelete::Delete)?]).await?;
    engine.set_state(&[NAME.to_owned()], State::Paused, false).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS);
    assert_eq!(table(&pair.ci, "notes").await?, ["(2,2)"]);
    activate(&engine).await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    Ok(())
}

#[tokio::test]
async fn l16_observing_counts_and_changes_nothing_and_activating_cleans_what_was_observed() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = installed(pair.engine([builds()?])?).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS);
    let observed = status(&engine).await?;
    assert_eq!((observed.observed_keys, observed.rows_affected_total, observed.pending_keys), (1, 0, 0));

    let change = &engine.set_state(&[NAME.to_owned()], State::Active, false).await?[0];
    assert!(change.rewound);
    assert_eq!((change.from, change.to, change.keys_left_log), (State::Observe, State::Active, 0));
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    Ok(())
}

#[tokio::test]
async fn l16_activating_from_now_skips_what_was_observed() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = installed(pair.engine([builds()?])?).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    drain(&engine).await?;
    // This one nobody has looked at yet.
    pair.main.execute("DELETE FROM projects WHERE id = 3").await?;
    let change = &engine.set_state(&[NAME.to_owned()], State::Active, true).await?[0];
    assert!(!change.rewound);
    pair.main.execute("DELETE FROM projects WHERE id = 2").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(11,1,0)", "(12,1,4)", "(31,3,)", "(90,,0)"]);
    Ok(())
}

#[tokio::test]
async fn l16_going_back_to_observing_ends_the_cleaning() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [builds()?]).await?;
    engine.set_state(&[NAME.to_owned()], State::Observe, false).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS);
    activate(&engine).await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    Ok(())
}

#[tokio::test]
async fn l01_limits_change_nothing_but_the_speed() -> Result<()> {
    // More rows in one statement than the bucket holds, and more statements than one.
    let parents = "CREATE TABLE projects (id bigint PRIMARY KEY); INSERT INTO projects SELECT generate_series(1, 601)";
    let children = "CREATE TABLE builds (id bigint PRIMARY KEY, project_id bigint);
        CREATE INDEX ON builds (project_id); INSERT INTO builds SELECT n, n FROM generate_series(1, 601) n";
    let pair = Pair::with_schema(parents, children).await?;
    let limits = Limits::new(Some(400), Some(20));
    let ci = Database::connect_lazy("ci", &pair.ci.url)?.with_limits(limits);
    let databases = Engine::builder().database(Database::connect_lazy("main", &pair.main.url)?).database(ci);
    let engine = activated(databases, [builds()?]).await?;
    pair.main.execute("DELETE FROM projects WHERE id <= 600").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(601,601)"]);
    assert_eq!(status(&engine).await?.rows_affected_total, 600);
    Ok(())
}
