//! Defects of sweeps that were found, each by the smallest case that shows it.

use std::time::Duration;

use anyhow::Result;
use lfk_tests::scenario::{PATIENCE, active, drain};
use lfk_tests::{Pair, eventually};

use crate::clean_support::{BUILDS, PROJECTS, retries, table};
use crate::log_support::{builds, let_pass, trail};

const HOUR: Duration = Duration::from_secs(3600);
const DUE: &str = "UPDATE lfk.retry SET not_before = clock_timestamp()";

/// The second sweep of a TRUNCATE had seen the marker of a later one and stood for it as well, though for that one it came too
/// early: children inserted late were left.
#[tokio::test]
async fn l04_the_second_sweep_of_a_truncate_stands_for_no_later_truncate() -> Result<()> {
    let pair = Pair::with_schema(PROJECTS, BUILDS).await?;
    let engine = active(&pair, [builds()?.settle_after(HOUR)]).await?;
    pair.main.execute("TRUNCATE projects; INSERT INTO projects VALUES (2, 'two')").await?;
    engine.run_once().await?;
    let_pass(&pair.main, "2 hours").await?;
    // An hour of its own begins here.
    pair.main.execute("TRUNCATE projects").await?;
    engine.run_once().await?;
    trail(&engine, &pair.main).await?;
    pair.main.execute(DUE).await?;
    drain(&engine).await?;
    pair.main.execute("DELETE FROM lfk.retry").await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(90,,0)"]);

    pair.ci.execute("INSERT INTO builds VALUES (22, 2, 0)").await?;
    let_pass(&pair.main, "2 hours").await?;
    trail(&engine, &pair.main).await?;
    let second = table(&pair.main, "(SELECT key, consumer, reason FROM lfk.retry) r").await?;
    assert_eq!(second, ["({2},builds.project_id~trailing,suspect)"]);
    pair.main.execute(DUE).await?;
    let handle = engine.start();
    eventually("it is done", PATIENCE, async || Ok(retries(&pair.main).await?.is_empty())).await?;
    handle.shutdown().await?;
    assert_eq!(table(&pair.ci, "builds").await?, ["(90,,0)"]);
    Ok(())
}
