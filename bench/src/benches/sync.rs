//! A mirror follows its source: many changes at once, and single ones.

use std::time::Duration;

use anyhow::{Result, ensure};
use lfk_tests::eventually;

use super::Size;
use crate::baselines::giant_upsert;
use crate::cpu;
use crate::following::follow;
use crate::mirrors::Width;
use crate::report::{Case, Goal, Unit};
use crate::round::{Rounds, Sample};
use crate::stage::Stage;
use crate::statements::{session, sync};

/// Who brings changes over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Ours,
    GiantUpsert,
}

/// How often a row is changed while nothing else happens.
const PACE: Duration = Duration::from_millis(50);
/// A bound, never a measure.
const PATIENCE: Duration = Duration::from_secs(60);

/// All changes at once, then one after the other.
pub async fn run(size: Size) -> Result<Vec<Case>> {
    let changes = size.pick(200_000, 20_000);
    let stage = Width::Wide.stage(size.pick(1_000_000, 50_000)).await?;
    let all = [Who::Ours, Who::GiantUpsert];
    let rounds = Rounds::run(size.rounds(5, 2), &all, async |who| apply(&stage, who, changes).await).await?;
    let rate = |who| anyhow::Ok(f64::from(u32::try_from(changes)?) / rounds.median(who, "seconds")?);
    let mut cases = vec![
        Case::new("sync", "many changes", Unit::RowsPerSecond, rate(Who::Ours)?, rounds.count)
            .against("giant upsert", rate(Who::GiantUpsert)?)
            .cpu(rounds.median(Who::Ours, "CPU")?, rounds.median(Who::GiantUpsert, "CPU")?)
            .goal(Goal::Ratio(0.5))
            .note(format!("{changes} keys, of which 10 % deleted and 10 % new; whole process")),
    ];
    let events = size.pick(1_000, 200);
    let rounds = Rounds::run(size.rounds(3, 1), &[Who::Ours], async |_| single(&stage, events).await).await?;
    for (what, goal) in [("p50", None), ("p99", Some(Goal::AtMost(250.0)))] {
        let ms = rounds.median(Who::Ours, what)?;
        let case = Case::new("sync", format!("commit to mirror, idle, {what}"), Unit::Milliseconds, ms, rounds.count);
        let case = case.note(format!("{events} changes, one every {} ms", PACE.as_millis()));
        cases.push(if let Some(goal) = goal { case.goal(goal) } else { case });
    }
    Ok(cases)
}

async fn apply(stage: &Stage, who: Who, changes: i64) -> Result<Sample> {
    let servers = stage.copy().await?;
    let ours = match who {
        Who::Ours => Some(Width::Wide.install(&servers).await?),
        Who::GiantUpsert => None,
    };
    servers.main.run_with(sync::NOTE_CHANGED, &[changes]).await?;
    servers.main.run(sync::CHANGE).await?;
    servers.settle().await?;
    let [source, target] = Width::Wide.content(&servers).await?;
    ensure!(source != target, "nothing has changed");
    let before = cpu::seconds(&servers)?;
    let seconds = match &ours {
        Some(ours) => ours.drain().await?.seconds,
        None => giant_upsert::run(&servers).await?,
    };
    let cpu = cpu::seconds(&servers)? - before;
    Width::Wide.equal(&servers).await?;
    Ok(vec![("seconds", seconds), ("CPU", cpu)])
}

async fn single(stage: &Stage, events: i64) -> Result<Sample> {
    let servers = stage.copy().await?;
    servers.ci.run(sync::NOTIFY_CHANGED).await?;
    let ours = Width::Wide.install(&servers).await?;
    let _daemon = ours.daemon()?;
    // The daemon is there once it has done something.
    follow(&servers, sync::CHANGE_ONE, &[1], PACE).await?;
    // Keys that are not neighbours, and none of those that are left out.
    let keys: Vec<i64> = (1..=events).map(|n| 3 * n).collect();
    let all = follow(&servers, sync::CHANGE_ONE, &keys, PACE).await?;
    eventually("the mirror is drained", PATIENCE, async || {
        Ok(sqlx::query(session::IS_DRAINED).bind(Width::Wide.name()).execute(servers.main.pool()).await.is_ok())
    })
    .await?;
    Width::Wide.equal(&servers).await?;
    Ok(vec![("p50", all.within(500)?), ("p99", all.within(990)?)])
}
