//! Looking for orphans where nothing is installed.

use anyhow::{Context as _, Result, ensure};

use super::Size;
use crate::baselines::anti_join::{self, Join, Orphans};
use crate::cpu;
use crate::ours::{self, Ours};
use crate::report::{Case, Goal, Unit};
use crate::round::{Rounds, Sample};
use crate::server::Servers;
use crate::stage::{Shape, Stage};
use crate::statements::{scan, stage};
use crate::verify::Expected;

/// Who looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Ours,
    Copied(Join),
}

const ALL: [Who; 3] = [Who::Ours, Who::Copied(Join::Hash), Who::Copied(Join::Merge)];
const COPIED: [Who; 2] = [Who::Copied(Join::Hash), Who::Copied(Join::Merge)];

/// One parent in a thousand is gone. There are a thousand of them at least.
const DOOMED: (i64, i64) = (1, 1000);

/// By how many children a parent has.
pub async fn run(size: Size) -> Result<Vec<Case>> {
    let children = size.pick(5_000_000, 500_000);
    let mut cases = Vec::new();
    for fan_out in [1, 5, 500] {
        cases.push(look_for(size, children, fan_out).await?);
    }
    Ok(cases)
}

async fn look_for(size: Size, children: i64, fan_out: i64) -> Result<Case> {
    let shape = Shape { parents: children / fan_out, builds: 0, notes: false, doomed: DOOMED };
    let stage = Stage::build_with(shape, async |servers| {
        servers.ci.run_with(scan::FILL_BUILDS, &[children, fan_out]).await?;
        servers.main.run(stage::DELETE_DOOMED).await
    });
    let stage = stage.await?;
    let servers = stage.copy().await?;
    let ours = Ours::of(&servers, &[ours::BUILDS])?;
    let expected = Orphans { keys: shape.keys(), rows: shape.keys() * fan_out };
    ensure!(stage.expected.doomed().0 == expected.rows, "the stage is not as its shape says");
    let rounds = Rounds::run(size.rounds(3, 2), &ALL, async |who| {
        servers.settle().await?;
        let before = cpu::seconds(&servers)?;
        let (seconds, found) = match who {
            Who::Ours => ask(&ours).await?,
            Who::Copied(join) => anti_join::run(&servers, join).await?,
        };
        let cpu = cpu::seconds(&servers)? - before;
        ensure!(found == expected, "found {found:?} of {expected:?}");
        Ok::<Sample, _>(vec![("seconds", seconds), ("CPU", cpu)])
    });
    let rounds = rounds.await?;
    unchanged(&stage, &servers).await?;
    let (best, seconds) = rounds.lowest(&COPIED, "seconds")?;
    let ours = rounds.median(Who::Ours, "seconds")?;
    Ok(Case::new("scan", format!("{fan_out} children a parent"), Unit::Seconds, ours, rounds.count)
        .against(format!("COPY, {best:?}"), seconds)
        .cpu(rounds.median(Who::Ours, "CPU")?, rounds.median(best, "CPU")?)
        .goal(Goal::Ratio(0.7))
        .note(format!("{children} children, {} orphaned keys, whole process", expected.keys)))
}

/// Everything, orphans too, is as it was: who looks changes nothing.
async fn unchanged(stage: &Stage, servers: &Servers) -> Result<()> {
    let now = Expected::read(servers).await?;
    ensure!(now == stage.expected, "a scan has changed rows: {:?} before, {now:?} after", stage.expected);
    Ok(())
}

async fn ask(ours: &Ours) -> Result<(f64, Orphans)> {
    let (answer, seconds) = ours.ask(&["scan", "--all"], 3).await?;
    let scan = answer["scans"].get(0).context("no scan")?;
    ensure!(scan["result"] == "done" && scan["unconfirmed"] == 0, "{answer}");
    let count = |what: &str| scan[what].as_i64().with_context(|| format!("no {what} in {answer}"));
    Ok((seconds, Orphans { keys: count("orphan_keys")?, rows: count("orphan_rows")? }))
}
