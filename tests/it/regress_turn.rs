//! Defects of turns that were found, each by the smallest case that shows it.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use lfk_core::sabotage::{Point, Verdict};
use lfk_tests::scenario::{PATIENCE, active};
use lfk_tests::{Pair, eventually};

use crate::clean_support::{ALL_BUILDS, BUILDS, PROJECTS, builder, table};
use crate::log_support::{When, builds};

/// Longer than a turn may take: a slow network, with twenty round trips on the way to this point.
const SLOW: Duration = Duration::from_millis(2100);

fn slow_until(slow: Point) -> Arc<When> {
    When::passing(move |point, _| async move {
        if point == slow {
            tokio::time::sleep(SLOW).await;
        }
        Ok(Verdict::GoOn)
    })
}

/// Where the way to the first batch took longer than a turn, each turn ended before it and the next one began anew: nothing was
/// ever done.
#[tokio::test]
async fn l13_a_turn_that_begins_slowly_does_one_batch_all_the_same() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    active(&pair, [builds()?]).await?;
    let slow = builder(&pair)?.hook(slow_until(Point::Opened)).definitions([builds()?]).build()?;
    pair.main.execute("DELETE FROM projects WHERE id = 1").await?;
    let handle = slow.start();
    let expected = ALL_BUILDS[2..].to_vec();
    eventually("the batch is done", PATIENCE, async || Ok(table(&pair.ci, "builds").await? == expected)).await?;
    handle.shutdown().await?;
    Ok(())
}

/// The same for a sweep and its first chunk.
#[tokio::test]
async fn c04_a_sweep_that_begins_slowly_looks_at_one_chunk_all_the_same() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let at_once = || Ok::<_, anyhow::Error>(builds()?.settle_after(Duration::ZERO));
    active(&pair, [at_once()?]).await?;
    let slow = builder(&pair)?.hook(slow_until(Point::SweepBegun)).definitions([at_once()?]).build()?;
    pair.main.execute("TRUNCATE projects").await?;
    let handle = slow.start();
    eventually("it is swept", PATIENCE, async || Ok(table(&pair.ci, "builds").await? == ["(90,,0)"])).await?;
    handle.shutdown().await?;
    Ok(())
}
