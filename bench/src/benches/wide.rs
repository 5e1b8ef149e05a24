//! One parent with very many children.

use anyhow::{Context as _, Result, ensure};

use super::Size;
use crate::baselines::giant;
use crate::cpu;
use crate::ours::{self, Ours};
use crate::report::{Case, Goal, Unit};
use crate::round::{Rounds, Sample, median};
use crate::server::Servers;
use crate::stage::{Shape, Stage};
use crate::statements::{self, stage, wide};

/// Who deletes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Giant,
    /// Whether the horizon is held.
    Ours(bool),
    /// The same with a trigger that notes every batch.
    Noted(bool),
}

const ALL: [Who; 5] = [Who::Giant, Who::Ours(false), Who::Ours(true), Who::Noted(false), Who::Noted(true)];

/// Nearly all rows are children of one parent; or one in eight is.
pub async fn run(size: Size) -> Result<Vec<Case>> {
    let doomed = size.pick(500_000, 100_000);
    let mut cases = share(size, "dominant key", doomed, doomed / 10).await?;
    cases.extend(share(size, "12 % of the rows", doomed, doomed * 88 / 12).await?);
    Ok(cases)
}

async fn share(size: Size, name: &str, doomed: i64, others: i64) -> Result<Vec<Case>> {
    let shape = Shape { parents: 1_000, builds: 0, notes: false, doomed: (0, 1) };
    let stage = Stage::build_with(shape, async |servers| {
        servers.ci.run_with(wide::FILL_BUILDS, &[doomed, others]).await?;
        for server in [&servers.main, &servers.ci] {
            server.run_with(stage::FILL_DOOMED, &[1, 1, 1]).await?;
        }
        Ok(())
    });
    let stage = stage.await?;
    ensure!(stage.expected.doomed().0 == doomed, "the stage is not as its shape says");
    let rounds = Rounds::run(size.rounds(3, 1), &ALL, async |who| run_one(&stage, who, doomed).await).await?;
    let whole = rounds.median(Who::Giant, "seconds")?;
    let mut cases = Vec::new();
    for (horizon, held) in [("free", false), ("held", true)] {
        let case = |what: &str, unit, value| {
            Case::new("wide", format!("{name}, horizon {horizon}: {what}"), unit, value, rounds.count)
        };
        cases.push(
            case("all", Unit::Seconds, rounds.median(Who::Ours(held), "seconds")?)
                .against("giant", whole)
                .goal(Goal::Ratio(0.5))
                .cpu(rounds.median(Who::Ours(held), "CPU")?, rounds.median(Who::Giant, "CPU")?)
                .note(format!("{doomed} children, whole process")),
        );
        cases.push(
            case("first batch to last", Unit::Seconds, rounds.median(Who::Noted(held), "work")?)
                .against("giant", whole)
                .note("with a trigger that notes each batch"),
        );
        cases.push(
            case("last quarter's time for 1000 rows", Unit::Milliseconds, rounds.median(Who::Noted(held), "last")?)
                .against("first quarter", rounds.median(Who::Noted(held), "first")?)
                .goal(Goal::AtMostTimes(1.2)),
        );
    }
    Ok(cases)
}

async fn run_one(stage: &Stage, who: Who, doomed: i64) -> Result<Sample> {
    let servers = stage.copy().await?;
    let ours = match who {
        Who::Giant => None,
        Who::Ours(_) => Some(Ours::install(&servers, &[ours::BUILDS]).await?),
        Who::Noted(_) => {
            servers.ci.run(wide::NOTE_BATCHES).await?;
            Some(Ours::install(&servers, &[ours::BUILDS]).await?)
        }
    };
    servers.main.run(stage::DELETE_DOOMED).await?;
    servers.settle().await?;
    let held = match who {
        Who::Ours(true) | Who::Noted(true) => {
            Some((servers.main.hold_horizon().await?, servers.ci.hold_horizon().await?))
        }
        _ => None,
    };
    let before = cpu::seconds(&servers)?;
    let seconds = match &ours {
        Some(ours) => ours.drain().await?.seconds,
        None => giant::run(&servers, &[statements::giant::DELETE_BUILDS]).await?,
    };
    let mut sample = vec![("seconds", seconds), ("CPU", cpu::seconds(&servers)? - before)];
    drop(held);
    if matches!(who, Who::Noted(_)) {
        sample.extend(batches(&servers, doomed).await?);
    }
    stage.expected.cleaned(&servers).await?;
    Ok(sample)
}

/// Milliseconds for 1000 rows in the first and in the last quarter of the batches, and seconds from the first to the last one.
async fn batches(servers: &Servers, doomed: i64) -> Result<Sample> {
    let all: Vec<(f64, i64)> = sqlx::query_as(wide::READ_BATCHES).fetch_all(servers.ci.pool()).await?;
    ensure!(all.iter().map(|(_, rows)| rows).sum::<i64>() == doomed, "batches do not add up");
    // The time of a batch is that since the one before; the first one has none.
    let times: Vec<f64> = all.windows(2).map(|pair| time_of_1000(pair[0].0, pair[1])).collect::<Result<_>>()?;
    let quarter = times.len() / 4;
    ensure!(quarter >= 2, "{} batches are too few to say anything", all.len());
    let ((first, _), (last, _)) = (all.first().context("no batch")?, all.last().context("no batch")?);
    Ok(vec![
        ("first", median(&times[..quarter])),
        ("last", median(&times[times.len() - quarter..])),
        ("work", last - first),
    ])
}

fn time_of_1000(before: f64, (at, rows): (f64, i64)) -> Result<f64> {
    Ok((at - before) * 1e3 * 1000.0 / f64::from(u32::try_from(rows)?))
}
