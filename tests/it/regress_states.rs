//! What was only observed must still be cleaned, or left alone when somebody says so, whatever states lie in between; and a
//! child database that was put back to before its definition was installed.

use anyhow::{Context as _, Result};
use lfk_core::{Engine, ErrorKind, LooseForeignKey, OnDelete, State, StateChange};
use lfk_tests::scenario::{PATIENCE, activate, active, as_installer, drain, installed, loose};
use lfk_tests::{Cli, Pair};

use crate::clean_support::{ALL_BUILDS, BUILDS, PROJECTS, retries, status, table};

const NAME: &str = "builds.project_id";

fn builds() -> Result<LooseForeignKey> {
    loose("projects(id)", "builds(project_id)", OnDelete::Delete)
}

async fn set(engine: &Engine, to: State, from_now: bool) -> Result<StateChange> {
    engine.set_state(&[NAME.to_owned()], to, from_now).await?.into_iter().next().context("no change")
}

/// The definition has observed that project 1 was deleted, and is paused now.
async fn observed_and_paused() -> Result<(Pair, Engine)> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = installed(pair.engine([builds()?])?).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    drain(&engine).await?;
    assert_eq!(status(&engine).await?.observed_keys, 1);
    let change = set(&engine, State::Paused, false).await?;
    assert_eq!((change.from, change.rewound, change.keys_left_log), (State::Observe, true, 0));
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS);
    Ok((pair, engine))
}

#[tokio::test]
async fn l05_what_was_observed_before_a_pause_is_cleaned_after_it() -> Result<()> {
    let (pair, engine) = observed_and_paused().await?;
    set(&engine, State::Active, false).await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    assert_eq!(table(&pair.ci, "bystanders").await?, ALL_BUILDS);
    Ok(())
}

#[tokio::test]
async fn l16_observing_again_after_a_pause_counts_from_the_start_and_changes_nothing() -> Result<()> {
    let (pair, engine) = observed_and_paused().await?;
    set(&engine, State::Observe, false).await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS);
    assert_eq!(status(&engine).await?.observed_keys, 1, "a key is one key however often it was looked at");
    let change = set(&engine, State::Active, false).await?;
    assert_eq!((change.rewound, change.keys_left_log), (true, 0), "the log still keeps what was observed");
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    Ok(())
}

#[tokio::test]
async fn l16_activating_from_now_skips_what_was_observed_before_a_pause() -> Result<()> {
    let (pair, engine) = observed_and_paused().await?;
    // This one nobody has looked at.
    pair.main.execute("DELETE FROM projects WHERE id = 3").await?;
    let cli = Cli::for_pair(
        &pair,
        "[[loose_foreign_key]]\nparent = \"main:public.projects(id)\"
         child = \"ci:public.builds(project_id)\"\non_delete = \"delete\"",
    )?;
    cli.run(["activate", NAME, "--from-now"]).await?.expect(0);
    pair.main.execute("DELETE FROM projects WHERE id = 2").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(11,1,0)", "(12,1,4)", "(31,3,)", "(90,,0)"]);
    Ok(())
}

#[tokio::test]
async fn l16_activating_what_is_active_from_now_skips_nothing() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [builds()?]).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    let change = set(&engine, State::Active, true).await?;
    assert_eq!((change.from, change.rewound), (State::Active, false));
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS[2..]);
    Ok(())
}

#[tokio::test]
async fn l18_children_restored_from_before_the_installation_are_refused_and_then_cleaned_anew() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [builds()?]).await?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    drain(&engine).await?;
    // As if the backup were from when lfk was here for other definitions only. What was cleaned since is back.
    pair.ci.execute("DELETE FROM lfk.peer; INSERT INTO builds VALUES (11, 1, 0), (12, 1, 4)").await?;
    pair.main.execute("DELETE FROM projects WHERE id = 2").await?;

    let error = engine.run_until_drained(Some(PATIENCE)).await.err().context("it was not refused")?;
    assert_eq!((error.kind, error.database.as_deref()), (ErrorKind::Refused, Some("ci")), "{error}");
    assert!(error.hint.as_deref().is_some_and(|hint| hint.contains("lfk install")), "{error:?}");
    assert_eq!(engine.run_once().await.err().context("once was not refused")?.kind, ErrorKind::Refused);
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS);

    let again = pair.engine([builds()?])?;
    let change = as_installer(&again)?.install().await?;
    assert_eq!((change[0].outcome, change[0].state), ("changed", State::Observe));
    drain(&again).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ALL_BUILDS, "observing changes nothing");
    assert_eq!(status(&again).await?.observed_keys, 2, "it begins again");
    activate(&again).await?;
    drain(&again).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(31,3,)", "(90,,0)"]);
    assert_eq!(retries(&pair.main).await?, [""; 0]);
    // And once more, with nothing changed.
    let same = as_installer(&again)?.install().await?;
    assert_eq!((same[0].outcome, same[0].state), ("unchanged", State::Active));
    Ok(())
}
