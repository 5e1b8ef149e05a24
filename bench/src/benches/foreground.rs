//! An application on the children's server while children are deleted there.

use std::time::Duration;

use anyhow::{Result, ensure};

use super::Size;
use crate::latencies::Latencies;
use crate::load::{Kind, Load};
use crate::ours::{self, Ours};
use crate::report::{Case, Goal, Unit};
use crate::round::{Rounds, Sample};
use crate::server::Servers;
use crate::stage::{Shape, Stage};
use crate::statements::{foreground, stage};

/// What happens beside the application.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Beside {
    Nothing,
    Drain,
}

/// Of each kind so many clients.
const CLIENTS: usize = 2;
/// How often each of them sends a statement.
const PACE: Duration = Duration::from_millis(8);

/// Orphans, others, their digest, and the sum of what writers change.
type Content = (i64, i64, String, i64);

/// With and without a drain with default pacing.
pub async fn run(size: Size) -> Result<Vec<Case>> {
    let shape = Shape { parents: size.pick(240_000, 60_000), builds: 5, notes: false, doomed: (5, 6) };
    let alone = size.pick(Duration::from_secs(15), Duration::from_secs(5));
    let stage = Stage::build(shape).await?;
    let all = [Beside::Nothing, Beside::Drain];
    let rounds = Rounds::run(size.rounds(5, 2), &all, async |beside| one(&stage, beside, alone).await).await?;
    let doomed = format!("{} children drained with default pacing", shape.doomed_builds());
    let mut cases = Vec::new();
    for (what, goal) in [
        ("readers, p50", None),
        ("readers, p99", Some(Goal::AtMostTimes(1.25))),
        ("writers, p50", None),
        ("writers, p99", Some(Goal::AtMostTimes(1.25))),
    ] {
        let case = Case::new("foreground", what, Unit::Milliseconds, rounds.median(Beside::Drain, what)?, rounds.count)
            .against("without", rounds.median(Beside::Nothing, what)?)
            .note(&doomed);
        cases.push(if let Some(goal) = goal { case.goal(goal) } else { case });
    }
    Ok(cases)
}

async fn one(stage: &Stage, beside: Beside, alone: Duration) -> Result<Sample> {
    let servers = stage.copy().await?;
    let ours = Ours::install(&servers, &[ours::BUILDS]).await?;
    let some: Vec<(i64, i64)> = sqlx::query_as(foreground::READ_SOME).fetch_all(servers.ci.pool()).await?;
    let kind = |statement, numbers| Kind { statement, numbers, clients: CLIENTS, pace: PACE };
    let kinds = [
        kind(foreground::READ, some.iter().map(|(_, parent)| *parent).collect()),
        kind(foreground::WRITE, some.iter().map(|(id, _)| *id).collect()),
    ];
    servers.main.run(stage::DELETE_DOOMED).await?;
    servers.settle().await?;
    let before = content(&servers).await?;
    warm(&servers, &kinds).await?;
    let load = Load::start(&servers.ci, &kinds).await?;
    let seconds = match beside {
        Beside::Nothing => {
            tokio::time::sleep(alone).await;
            alone.as_secs_f64()
        }
        Beside::Drain => ours.drain().await?.seconds,
    };
    let latencies = load.end().await?;
    proven(&servers, beside, &before, &latencies).await?;
    let (readers, writers) = (&latencies[0], &latencies[1]);
    Ok(vec![
        ("seconds", seconds),
        ("readers, p50", readers.within(500)?),
        ("readers, p99", readers.within(990)?),
        ("writers, p50", writers.within(500)?),
        ("writers, p99", writers.within(990)?),
    ])
}

/// Pages that are touched for the first time after a checkpoint cost more, with and without anybody beside.
async fn warm(servers: &Servers, kinds: &[Kind]) -> Result<()> {
    let load = Load::start(&servers.ci, &kinds[..1]).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    load.end().await.map(drop)
}

async fn content(servers: &Servers) -> Result<Content> {
    Ok(sqlx::query_as(foreground::VERIFY_BUILDS).fetch_one(servers.ci.pool()).await?)
}

/// Orphans are gone or not, all else is there, and every write has been kept.
async fn proven(servers: &Servers, beside: Beside, before: &Content, latencies: &[Latencies]) -> Result<()> {
    let after = content(servers).await?;
    let orphans = if beside == Beside::Drain { 0 } else { before.0 };
    let written = before.3 + i64::try_from(latencies[1].count())?;
    ensure!(
        after == (orphans, before.1, before.2.clone(), written),
        "{before:?} before, {after:?} after {} writes",
        latencies[1].count()
    );
    Ok(())
}
