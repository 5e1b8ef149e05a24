//! Parents were deleted; how long until their children in another server are as they should be.

use anyhow::{Context as _, Result, ensure};

use super::Size;
use crate::baselines::giant;
use crate::baselines::status_queue::{self, Action, Form};
use crate::cpu;
use crate::ours::{self, Ours};
use crate::report::{Case, Goal, Unit};
use crate::round::{Rounds, Sample};
use crate::stage::{Shape, Stage};
use crate::statements::{self, stage};

/// Who drains.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Ours,
    Giant,
    StatusQueue(Form),
}

const ALL: [Who; 4] = [Who::Ours, Who::Giant, Who::StatusQueue(Form::In), Who::StatusQueue(Form::Lateral)];
const STATUS_QUEUES: [Who; 2] = [Who::StatusQueue(Form::In), Who::StatusQueue(Form::Lateral)];

/// The same work for everybody.
struct Work {
    shape: Shape,
    definitions: &'static [&'static str],
    giant: &'static [&'static str],
    actions: &'static [Action],
}

/// Two tables: five children of each to delete, one to null.
pub async fn both(size: Size) -> Result<Vec<Case>> {
    let work = Work {
        shape: Shape { parents: size.pick(200_000, 40_000), builds: 5, notes: true, doomed: (1, 4) },
        definitions: &[ours::BUILDS, ours::NOTES],
        giant: &[statements::giant::DELETE_BUILDS, statements::giant::NULL_NOTES],
        actions: &[Action::DeleteBuilds, Action::NullNotes],
    };
    let rounds = measure(size, &work).await?;
    cases("drain", &work, &rounds, Goal::Ratio(0.70), Some(Goal::Ratio(6.0)))
}

/// One table, most parents deleted.
pub async fn delete(size: Size) -> Result<Vec<Case>> {
    let work = Work {
        shape: Shape { parents: size.pick(240_000, 48_000), builds: 5, notes: false, doomed: (5, 6) },
        definitions: &[ours::BUILDS],
        giant: &[statements::giant::DELETE_BUILDS],
        actions: &[Action::DeleteBuilds],
    };
    let rounds = measure(size, &work).await?;
    cases("drain-delete", &work, &rounds, Goal::Ratio(0.75), Some(Goal::Ratio(5.0)))
}

/// One child each, to null.
pub async fn null(size: Size) -> Result<Vec<Case>> {
    let work = Work {
        shape: Shape { parents: size.pick(200_000, 80_000), builds: 0, notes: true, doomed: (1, 4) },
        definitions: &[ours::NOTES],
        giant: &[statements::giant::NULL_NOTES],
        actions: &[Action::NullNotes],
    };
    let rounds = measure(size, &work).await?;
    cases("null", &work, &rounds, Goal::Ratio(0.5), None)
}

async fn measure(size: Size, work: &Work) -> Result<Rounds<Who>> {
    let stage = Stage::build(work.shape).await?;
    let doomed = (work.shape.doomed_builds(), if work.shape.notes { work.shape.keys() } else { 0 });
    ensure!(stage.expected.doomed() == doomed, "the stage is not as its shape says");
    Rounds::run(size.rounds(5, 3), &ALL, async |who| run(&stage, work, who).await).await
}

async fn run(stage: &Stage, work: &Work, who: Who) -> Result<Sample> {
    let servers = stage.copy().await?;
    let ours = match who {
        Who::Ours => Some(Ours::install(&servers, work.definitions).await?),
        Who::StatusQueue(_) => {
            status_queue::install(&servers).await?;
            None
        }
        Who::Giant => None,
    };
    servers.main.run(stage::DELETE_DOOMED).await?;
    servers.settle().await?;
    let before = cpu::seconds(&servers)?;
    let mut sample = match (who, ours) {
        (Who::Giant, _) => vec![("seconds", giant::run(&servers, work.giant).await?)],
        (Who::StatusQueue(form), _) => vec![("seconds", status_queue::drain(&servers, form, work.actions).await?)],
        (Who::Ours, ours) => {
            let drain = ours.context("ours is installed")?.drain().await?;
            vec![("seconds", drain.seconds), ("peak MB", drain.peak_mb)]
        }
    };
    sample.push(("CPU", cpu::seconds(&servers)? - before));
    stage.expected.cleaned(&servers).await?;
    Ok(sample)
}

fn cases(
    bench: &'static str,
    work: &Work,
    rounds: &Rounds<Who>,
    giant: Goal,
    queue: Option<Goal>,
) -> Result<Vec<Case>> {
    let (ours, cpu) = (rounds.median(Who::Ours, "seconds")?, rounds.median(Who::Ours, "CPU")?);
    let (best, seconds) = rounds.lowest(&STATUS_QUEUES, "seconds")?;
    let case = |name| Case::new(bench, name, Unit::Seconds, ours, rounds.count);
    let size = format!("{} parents deleted", work.shape.keys());
    let against_giant = case("against one statement a table")
        .against("giant", rounds.median(Who::Giant, "seconds")?)
        .goal(giant)
        .cpu(cpu, rounds.median(Who::Giant, "CPU")?)
        .note(format!("{size}; whole process, parents looked for"));
    let mut against_queue = case("against a status queue")
        .against(format!("{best:?}"), seconds)
        .cpu(cpu, rounds.median(best, "CPU")?)
        .note(size);
    if let Some(goal) = queue {
        against_queue = against_queue.goal(goal);
    }
    Ok(vec![against_giant, against_queue])
}
