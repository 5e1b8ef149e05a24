//! Whether both sides of a mirror are equal, and which rows are not.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::Size;
use crate::baselines::comparing::{self, Differences};
use crate::cpu;
use crate::mirrors::Width;
use crate::ours::Ours;
use crate::report::{Case, Goal, Unit};
use crate::round::{Rounds, Sample};
use crate::server::Servers;

/// Who compares.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Ours,
    Stream,
    Windows,
}

const ALL: [Who; 3] = [Who::Ours, Who::Stream, Who::Windows];

/// Narrow and wide rows, equal and damaged.
pub async fn run(size: Size) -> Result<Vec<Case>> {
    let rows = size.pick(1_000_000, 60_000);
    let mut cases = compare(size, Width::Narrow, rows, 0.85).await?;
    cases.extend(compare(size, Width::Wide, rows, 1.3).await?);
    Ok(cases)
}

async fn compare(size: Size, width: Width, rows: i64, against_stream: f64) -> Result<Vec<Case>> {
    let stage = width.stage(rows).await?;
    let servers = stage.copy().await?;
    let ours = width.install(&servers).await?;
    width.equal(&servers).await?;
    let mut cases = Vec::new();
    for damaged in [false, true] {
        if damaged {
            servers.ci.run(width.damage()).await?;
        }
        // Of each 3000 keys one is in each class.
        let third = if damaged { rows / 3000 } else { 0 };
        let last = i64::from(damaged && rows % 3000 >= 1000);
        let extra = i64::from(damaged && rows % 3000 >= 1999);
        let expected = Differences { missing: third, different: third + last, extra: third + extra };
        let before = width.content(&servers).await?;
        let rounds = Rounds::run(size.rounds(5, 2), &ALL, async |who| {
            servers.settle().await?;
            let before = cpu::seconds(&servers)?;
            let (seconds, found) = look(&servers, &ours, width, who).await?;
            let cpu = cpu::seconds(&servers)? - before;
            ensure!(found == expected, "found {found:?} of {expected:?}");
            Ok::<Sample, _>(vec![("seconds", seconds), ("CPU", cpu)])
        });
        let rounds = rounds.await?;
        ensure!(width.content(&servers).await? == before, "a comparison has changed rows");
        let name = format!("{width:?}, {}", if damaged { "0.1 % damaged" } else { "equal" });
        let (ours, cpu) = (rounds.median(Who::Ours, "seconds")?, rounds.median(Who::Ours, "CPU")?);
        let case = |who: &str| Case::new("check", format!("{name}, against {who}"), Unit::Seconds, ours, rounds.count);
        cases.push(
            case("streaming both sides")
                .against("COPY and merge", rounds.median(Who::Stream, "seconds")?)
                .cpu(cpu, rounds.median(Who::Stream, "CPU")?)
                .goal(Goal::Ratio(against_stream))
                .note(format!("{rows} rows, whole process")),
        );
        cases.push(
            case("fetching windows")
                .against("500 keys a time", rounds.median(Who::Windows, "seconds")?)
                .cpu(cpu, rounds.median(Who::Windows, "CPU")?)
                .goal(Goal::Ratio(8.0)),
        );
    }
    Ok(cases)
}

async fn look(servers: &Servers, ours: &Ours, width: Width, who: Who) -> Result<(f64, Differences)> {
    match who {
        Who::Ours => {
            let began = Instant::now();
            let (outcome, _) = ours.run(&["mirror", "check", width.name()]).await?;
            let seconds = began.elapsed().as_secs_f64();
            ensure!(matches!(outcome.code, 0 | 3), "{outcome:?}");
            let answer = outcome.json()?;
            ensure!(answer["complete"] == true && answer["in_flight"] == 0, "{answer}");
            Ok((seconds, confirmed(&answer)?))
        }
        Who::Stream => comparing::stream(servers, width.copies()).await,
        Who::Windows => comparing::windows(servers, width.windows()).await,
    }
}

/// What a check has proven to differ.
///
/// # Errors
/// When it says nothing of it.
pub(super) fn confirmed(answer: &Value) -> Result<Differences> {
    let count = |class: &str| answer["confirmed"][class].as_i64().with_context(|| format!("no {class} in {answer}"));
    Ok(Differences { missing: count("missing")?, different: count("different")?, extra: count("extra")? })
}
