//! Long logs: of keys that have no children (`empty`), and of rows of one key each, from their first to their last (`backlog`).

use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use sqlx::Executor as _;

use super::Size;
use crate::baselines::status_queue::{self, Action, Form};
use crate::cpu;
use crate::ours::{self, Ours};
use crate::report::{Case, Goal, Unit};
use crate::round::{Rounds, Sample};
use crate::server::Servers;
use crate::stage::{Shape, Stage};
use crate::statements::{backlog, session, stage};

/// Of each six parents five are doomed.
const DOOMED: (i64, i64) = (5, 6);

/// Who looks for children that nobody has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    OursPacked,
    OursSingly,
    StatusQueue(Form),
}

const STATUS_QUEUES: [Who; 2] = [Who::StatusQueue(Form::In), Who::StatusQueue(Form::Lateral)];

/// Parents whose doomed ones have no child, and of which the others have one each.
fn childless(parents: i64) -> Shape {
    Shape { parents, builds: 0, notes: false, doomed: DOOMED }
}

async fn fill_survivors(servers: &Servers, shape: Shape) -> Result<()> {
    servers.ci.run_with(stage::FILL_SURVIVORS, &[shape.parents, shape.doomed.1, shape.doomed.0]).await?;
    Ok(())
}

/// A stage in which lfk is active, and its log holds one row for each doomed parent, which is gone.
///
/// # Errors
/// When a server refuses.
pub async fn logged_singly(parents: i64) -> Result<Stage> {
    let shape = childless(parents);
    Stage::build_with(shape, async |servers| {
        fill_survivors(servers, shape).await?;
        // Before the triggers are there: they would log all of them in rows of a thousand.
        servers.main.run(stage::DELETE_DOOMED).await?;
        Ours::install(servers, &[ours::BUILDS]).await?;
        servers.main.run(backlog::LOG_SINGLY).await?;
        let mut writer = servers.main.connect().await?;
        writer.execute(session::NO_SYNC).await?;
        writer.execute(backlog::CALL).await?;
        Ok(())
    })
    .await
}

/// Keys without any child.
pub async fn empty(size: Size) -> Result<Vec<Case>> {
    let shape = childless(size.pick(1_200_000, 120_000));
    let stage = Stage::build_with(shape, async |servers| fill_survivors(servers, shape).await).await?;
    let singly = logged_singly(shape.parents).await?;
    let all = [Who::OursPacked, Who::OursSingly, STATUS_QUEUES[0], STATUS_QUEUES[1]];
    let rounds = Rounds::run(size.rounds(3, 2), &all, async |who| look(&stage, &singly, who).await).await?;

    let keys = f64::from(u32::try_from(shape.keys())?);
    let (best, queue) = rounds.lowest(&STATUS_QUEUES, "seconds")?;
    let rate = |who| anyhow::Ok(keys / rounds.median(who, "seconds")?);
    let case = |name, who| anyhow::Ok(Case::new("empty", name, Unit::KeysPerSecond, rate(who)?, rounds.count));
    let note = format!("{keys} keys, whole process");
    let against = |case: Case, who| {
        let case = case.against(format!("{best:?}"), keys / queue).goal(Goal::Ratio(20.0));
        anyhow::Ok(case.cpu(rounds.median(who, "CPU")?, rounds.median(best, "CPU")?))
    };
    Ok(vec![
        case("packed", Who::OursPacked)?.goal(Goal::AtLeast(300_000.0)).note(note),
        against(case("packed, against a status queue", Who::OursPacked)?, Who::OursPacked)?,
        against(case("rows of one key, against a status queue", Who::OursSingly)?, Who::OursSingly)?,
    ])
}

async fn look(stage: &Stage, singly: &Stage, who: Who) -> Result<Sample> {
    let stage = if who == Who::OursSingly { singly } else { stage };
    let servers = stage.copy().await?;
    let ours = match who {
        Who::OursPacked => Some(Ours::install(&servers, &[ours::BUILDS]).await?),
        Who::OursSingly => Some(Ours::of(&servers, &[ours::BUILDS])?),
        Who::StatusQueue(_) => {
            status_queue::install(&servers).await?;
            None
        }
    };
    servers.main.run(stage::DELETE_DOOMED).await?;
    servers.settle().await?;
    let before = cpu::seconds(&servers)?;
    let seconds = match (ours, who) {
        (Some(ours), _) => ours.drain().await?.seconds,
        (None, Who::StatusQueue(form)) => status_queue::drain(&servers, form, &[Action::DeleteBuilds]).await?,
        (None, _) => bail!("ours is not installed"),
    };
    let spent = cpu::seconds(&servers)? - before;
    stage.expected.cleaned(&servers).await?;
    Ok(vec![("seconds", seconds), ("CPU", spent)])
}

/// Whether a transaction keeps a snapshot while the log is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Horizon {
    Free,
    Held,
}

/// A log of single keys from its beginning to its end.
pub async fn backlog(size: Size) -> Result<Vec<Case>> {
    let parents = size.pick(6_000_000, 1_440_000);
    let stage = logged_singly(parents).await?;
    let rounds = Rounds::run(size.rounds(3, 2), &[Horizon::Free, Horizon::Held], async |horizon| {
        let servers = stage.copy().await?;
        servers.settle().await?;
        let held = match horizon {
            Horizon::Free => None,
            Horizon::Held => Some((servers.main.hold_horizon().await?, servers.ci.hold_horizon().await?)),
        };
        let before = cpu::seconds(&servers)?;
        let mut sample = follow(&servers, childless(parents).keys()).await?;
        sample.push(("CPU", cpu::seconds(&servers)? - before));
        drop(held);
        stage.expected.cleaned(&servers).await?;
        Ok(sample)
    })
    .await?;
    let case = |name, horizon, what| {
        let rate = rounds.median(horizon, what)?;
        anyhow::Ok(Case::new("backlog", name, Unit::KeysPerSecond, rate, rounds.count))
    };
    let keys = childless(parents).keys();
    Ok(vec![
        case("horizon held: last quarter", Horizon::Held, "end keys/s")?
            .against("first quarter", rounds.median(Horizon::Held, "start keys/s")?)
            .goal(Goal::Ratio(0.9))
            .note(format!("{keys} rows of one key")),
        case("horizon free: last quarter", Horizon::Free, "end keys/s")?
            .against("first quarter", rounds.median(Horizon::Free, "start keys/s")?)
            .goal(Goal::Ratio(0.9)),
        case("horizon held, all", Horizon::Held, "keys/s")?
            .against("horizon free", rounds.median(Horizon::Free, "keys/s")?)
            .goal(Goal::Ratio(0.9))
            .cpu(rounds.median(Horizon::Held, "CPU")?, rounds.median(Horizon::Free, "CPU")?)
            .note("whole process"),
    ])
}

/// How often the cursor is looked at. It moves about once a second.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Drains while somebody watches the cursor.
async fn follow(servers: &Servers, keys: i64) -> Result<Sample> {
    let ours = Ours::of(servers, &[ours::BUILDS])?;
    let drain = ours.drain();
    tokio::pin!(drain);
    let mut seen: Vec<(i64, f64)> = Vec::new();
    let drain = loop {
        tokio::select! {
            drain = &mut drain => break drain?,
            () = tokio::time::sleep(LOOK_EVERY) => note(servers, &mut seen).await?,
        }
    };
    note(servers, &mut seen).await?;
    let all = seen.last().context("the cursor never moved")?.0;
    ensure!(all == keys, "{keys} keys were logged, and {all} were read");
    // The time before the first move of the cursor is not known, and belongs to the start of the process.
    let (begun, _) = *seen.first().context("the cursor never moved")?;
    let quarter = (all - begun) / 4;
    ensure!(seen.len() > 4, "the cursor moved {} times, which says nothing about quarters", seen.len());
    let rate = |from: i64, to: i64| anyhow::Ok(count(to - from)? / (at(&seen, to)? - at(&seen, from)?));
    Ok(vec![
        ("keys/s", count(keys)? / drain.seconds),
        ("start keys/s", rate(begun, begun + quarter)?),
        ("end keys/s", rate(all - quarter, all)?),
        ("peak MB", drain.peak_mb),
    ])
}

async fn note(servers: &Servers, seen: &mut Vec<(i64, f64)>) -> Result<()> {
    let now: (i64, Option<f64>) =
        sqlx::query_as(backlog::READ_PROGRESS).bind(ours::BUILDS_NAME).fetch_one(servers.main.pool()).await?;
    if let (keys, Some(at)) = now
        && seen.last().is_none_or(|(before, _)| *before < keys)
    {
        seen.push((keys, at));
    }
    Ok(())
}

fn count(keys: i64) -> Result<f64> {
    Ok(f64::from(u32::try_from(keys)?))
}

/// When so many keys were done, on a straight line between the two moves of the cursor around it.
fn at(seen: &[(i64, f64)], keys: i64) -> Result<f64> {
    let after = seen.iter().position(|(done, _)| *done >= keys).context("never so far")?;
    let (right, right_at) = seen[after];
    let Some(&(left, left_at)) = after.checked_sub(1).map(|before| &seen[before]) else {
        // The first move is too late to say anything about the time before it.
        return Ok(right_at);
    };
    Ok(left_at + (right_at - left_at) * count(keys - left)? / count(right - left)?)
}
