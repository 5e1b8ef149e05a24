//! Small parents behind one with very many children.

use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};

use super::Size;
use crate::ours::{self, Ours};
use crate::report::{Case, Goal, Unit};
use crate::round::{Rounds, Sample};
use crate::stage::{Shape, Stage};
use crate::statements::{fair, stage};

/// Who is before them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Before {
    Nobody,
    Wide,
}

/// Children of each small parent.
const CHILDREN: i64 = 5;

/// How long until the children of small parents are gone.
pub async fn run(size: Size) -> Result<Vec<Case>> {
    let (wide, small) = size.pick((2_000_000, 10_000), (150_000, 4_000));
    let shape = Shape { parents: 2 * small, builds: 0, notes: false, doomed: (0, 1) };
    let stages = (make(shape, wide, small, Before::Nobody).await?, make(shape, wide, small, Before::Wide).await?);
    let all = [Before::Nobody, Before::Wide];
    let rounds = Rounds::run(size.rounds(5, 2), &all, async |before| {
        let stage = if before == Before::Nobody { &stages.0 } else { &stages.1 };
        one(stage, before, small).await
    });
    let rounds = rounds.await?;
    let small = format!("{small} parents with {CHILDREN} children each");
    Ok(vec![
        Case::new("fair", "small parents", Unit::Seconds, rounds.median(Before::Wide, "small")?, rounds.count)
            .against("alone", rounds.median(Before::Nobody, "small")?)
            .goal(Goal::AtMostTimes(1.3))
            .note(format!("{small}, behind one with {wide}; from the start of the process to the last of theirs")),
        Case::new("fair", "everything", Unit::Seconds, rounds.median(Before::Wide, "all")?, rounds.count)
            .against("alone", rounds.median(Before::Nobody, "all")?)
            .note("whole process"),
    ])
}

/// The doomed ones are all small parents, and the wide one where it is deleted.
async fn make(shape: Shape, wide: i64, small: i64, before: Before) -> Result<Stage> {
    Stage::build_with(shape, async |servers| {
        servers.ci.run_with(fair::FILL_BUILDS, &[wide, small, CHILDREN]).await?;
        let first = if before == Before::Wide { 1 } else { 2 };
        for server in [&servers.main, &servers.ci] {
            server.run_with(fair::FILL_DOOMED, &[first, small + 1]).await?;
        }
        servers.ci.run(fair::NOTE_SMALL).await
    })
    .await
}

async fn one(stage: &Stage, before: Before, small: i64) -> Result<Sample> {
    let servers = stage.copy().await?;
    let ours = Ours::install(&servers, &[ours::BUILDS]).await?;
    if before == Before::Wide {
        servers.main.run(fair::DELETE_WIDE).await?;
    }
    // What is left of them: the small ones, which the log has behind the wide one.
    servers.main.run(stage::DELETE_DOOMED).await?;
    servers.settle().await?;
    let began = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs_f64();
    let drain = ours.drain().await?;
    let (last, deleted): (Option<f64>, i64) = sqlx::query_as(fair::READ_SMALL).fetch_one(servers.ci.pool()).await?;
    ensure!(deleted == small * CHILDREN, "{deleted} children of small parents were deleted");
    stage.expected.cleaned(&servers).await?;
    // The server's clock is that of this machine.
    Ok(vec![("small", last.context("no child was deleted")? - began), ("all", drain.seconds)])
}
