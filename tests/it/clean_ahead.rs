//! What is seen of a batch while the one before it is at work.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context as _, Result};
use lfk_core::sabotage::{Point, Verdict};
use lfk_core::{ErrorKind, LooseForeignKey, OnDelete};
use lfk_tests::scenario::{PATIENCE, drain, expire_leases, loose};
use lfk_tests::{Pair, TestDb};
use tokio::sync::watch;

use crate::clean_support::{THOUSAND_BUILDS, THOUSAND_PROJECTS, activated, builder, status, table};
use crate::log_support::When;

const NAME: &str = "builds.project_id";

fn builds() -> Result<LooseForeignKey> {
    loose("projects(id)", "builds(project_id)", OnDelete::Delete)
}

/// Holds the first batch, whose children are gone, until the second one was looked at; then does `act`.
fn once_the_second_was_seen<F>(act: impl Fn() -> F + Send + Sync + 'static) -> Arc<When>
where
    F: Future<Output = Result<u64>> + Send + 'static,
{
    let (looks, cleaned) = (watch::Sender::new(0), AtomicUsize::new(0));
    When::passing(move |point, who| {
        let ours = who == NAME;
        if ours && point == Point::Rechecked {
            looks.send_modify(|looks| *looks += 1);
        }
        let first = ours && point == Point::LeafCleaned && cleaned.fetch_add(1, Ordering::SeqCst) == 0;
        let (mut looks, act) = (looks.subscribe(), first.then(&act));
        async move {
            if let Some(act) = act {
                looks.wait_for(|looks| *looks >= 2).await.context("nobody looks any more")?;
                act.await?;
            }
            Ok(Verdict::GoOn)
        }
    })
}

/// As many builds as the batch after the first one had.
async fn left(pair: &Pair) -> Result<i64> {
    pair.ci.scalar("SELECT count(*) FROM builds").await
}

#[tokio::test]
async fn l02_a_parent_that_comes_back_after_its_batch_was_looked_at_keeps_its_children() -> Result<()> {
    let pair = Pair::with_schema(THOUSAND_PROJECTS, THOUSAND_BUILDS).await?;
    let main = pair.main.clone();
    let hook = once_the_second_was_seen(move || {
        let main: TestDb = main.clone();
        async move {
            main.execute("INSERT INTO projects VALUES (900)").await?;
            // What was seen is too old now.
            main.execute("SELECT pg_sleep(0.15)").await
        }
    });
    let engine = activated(builder(&pair)?.hook(hook), [builds()?]).await?;
    pair.main.execute("DELETE FROM projects").await?;
    drain(&engine).await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(900,900)"]);
    assert_eq!(status(&engine).await?.resurrected_total, 1);
    Ok(())
}

#[tokio::test]
async fn l16_a_pause_acts_before_a_batch_that_was_looked_at_already() -> Result<()> {
    for switch in [
        "UPDATE lfk.definition SET state = 'paused'",
        "UPDATE lfk.definition SET state = 'observe'",
        "UPDATE lfk.control SET stopped = true",
    ] {
        let pair = Pair::with_schema(THOUSAND_PROJECTS, THOUSAND_BUILDS).await?;
        let main = pair.main.clone();
        let hook = once_the_second_was_seen(move || {
            let main = main.clone();
            async move { main.execute(switch).await }
        });
        let engine = activated(builder(&pair)?.hook(hook), [builds()?]).await?;
        pair.main.execute("DELETE FROM projects").await?;
        engine.run_once().await?;
        assert_eq!(left(&pair).await?, 500, "{switch}");
    }
    Ok(())
}

#[tokio::test]
async fn f01_a_worker_that_dies_in_a_look_ahead_leaves_everything_to_the_next() -> Result<()> {
    for (point, nth) in [(Point::DeadlineSet, 2), (Point::Rechecked, 2)] {
        let pair = Pair::with_schema(THOUSAND_PROJECTS, THOUSAND_BUILDS).await?;
        let engine = activated(builder(&pair)?.hook(When::dies(point, NAME, nth)), [builds()?]).await?;
        pair.main.execute("DELETE FROM projects").await?;
        let error = engine.run_until_drained(Some(PATIENCE)).await.err().context("it did not die")?;
        assert_eq!(error.kind, ErrorKind::Crashed, "{point:?}: {error}");
        assert!(left(&pair).await? >= 500, "{point:?}");
        expire_leases(&pair.main).await?;
        drain(&pair.engine([builds()?])?).await?;
        assert_eq!(left(&pair).await?, 0, "{point:?}");
    }
    Ok(())
}
