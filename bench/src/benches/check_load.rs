//! Checks while an application writes to the source and the sync stalls again and again.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lfk_tests::{Running, Signal, eventually};

use super::Size;
use super::check::confirmed;
use crate::baselines::comparing::Differences;
use crate::load::{Kind, Load};
use crate::mirrors::Width;
use crate::ours::Ours;
use crate::report::{Case, Goal, Unit};
use crate::round::{Rounds, Sample};
use crate::server::Servers;
use crate::stage::Stage;
use crate::statements::{check_load, session};

/// What happens beside writers and sync.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Beside {
    Nothing,
    Checks,
}

/// Writers, and how often each of them writes.
const WRITERS: usize = 4;
const PACE: Duration = Duration::from_millis(20);
/// The sync stands still for so long, and then works for so long.
const STALL: Duration = Duration::from_millis(1500);
const WORK: Duration = Duration::from_millis(1500);
/// A bound, never a measure.
const PATIENCE: Duration = Duration::from_secs(120);

/// Passes one after the other, each with damage of its own or with none.
pub async fn run(size: Size) -> Result<Vec<Case>> {
    let rows = size.pick(1_000_000, 50_000);
    let time = size.pick(Duration::from_secs(60), Duration::from_secs(8));
    let stage = Width::Wide.stage(rows).await?;
    let all = [Beside::Nothing, Beside::Checks];
    let rounds = Rounds::run(size.rounds(3, 1), &all, async |beside| one(&stage, rows, beside, time).await).await?;
    let passes = rounds.median(Beside::Checks, "passes")?;
    let note = format!(
        "{passes} passes over {rows} rows in {} s, {} of {} injected differences confirmed, no other",
        time.as_secs(),
        rounds.median(Beside::Checks, "confirmed")?,
        rounds.median(Beside::Checks, "injected")?,
    );
    let case = |what, unit| {
        let value = rounds.median(Beside::Checks, what)?;
        anyhow::Ok(
            Case::new("check-load", format!("writers, {what}"), unit, value, rounds.count)
                .against("without checks", rounds.median(Beside::Nothing, what)?),
        )
    };
    Ok(vec![
        case("p50", Unit::Milliseconds)?,
        case("p99", Unit::Milliseconds)?.goal(Goal::AtMostTimes(1.15)).note(note),
    ])
}

async fn one(stage: &Stage, rows: i64, beside: Beside, time: Duration) -> Result<Sample> {
    let servers = stage.copy().await?;
    servers.ci.run(check_load::CREATE_DAMAGED).await?;
    let ours = Width::Wide.install(&servers).await?;
    let daemon = ours.daemon()?;
    // Damage is where nobody writes: what the sync writes anyhow is mended by that.
    let written: Vec<i64> = (1..=rows).map(|n| 1 + n * 7919 % rows).filter(|id| id % 100 != 0).collect();
    let kind = Kind { statement: check_load::WRITE, numbers: written, clients: WRITERS, pace: PACE };
    servers.settle().await?;
    let load = Load::start(&servers.main, &[kind]).await?;
    let until = Instant::now() + time;
    let stalling = tokio::spawn(stall(daemon, until));
    let mut tally = Tally::default();
    match beside {
        Beside::Nothing => tokio::time::sleep(time).await,
        Beside::Checks => {
            while Instant::now() < until {
                tally.pass(&servers, &ours).await?;
            }
            ensure!(tally.confirmed > 0.0, "no pass with damage has ended");
        }
    }
    let latencies = load.end().await?;
    let _daemon = stalling.await??;
    settled(&servers).await?;
    let mut sample = vec![("p50", latencies[0].within(500)?), ("p99", latencies[0].within(990)?)];
    if beside == Beside::Checks {
        sample.extend([("passes", tally.passes), ("injected", tally.injected), ("confirmed", tally.confirmed)]);
    }
    Ok(sample)
}

/// Freezes the sync again and again; gives it back awake.
async fn stall(mut daemon: Running, until: Instant) -> Result<Running> {
    while Instant::now() < until {
        daemon.signal(Signal::Stop)?;
        tokio::time::sleep(STALL).await;
        daemon.signal(Signal::Continue)?;
        tokio::time::sleep(WORK).await;
    }
    Ok(daemon)
}

/// What the passes have said.
#[derive(Debug, Default)]
struct Tally {
    passes: f64,
    injected: f64,
    confirmed: f64,
    round: i64,
}

impl Tally {
    /// Damages (in every second pass), checks, and mends. A pass that finds anything else than what was injected fails the bench.
    async fn pass(&mut self, servers: &Servers, ours: &Ours) -> Result<()> {
        let damaged = self.round % 2 == 1;
        let mut injected = Differences::default();
        if damaged {
            let (missing, different, extra): (i64, i64, i64) =
                sqlx::query_as(check_load::DAMAGE).bind(self.round / 2).fetch_one(servers.ci.pool()).await?;
            injected = Differences { missing, different, extra };
            ensure!(extra > 0, "nothing was damaged");
        }
        self.round += 1;
        let (outcome, _) = ours.run(&["mirror", "check", Width::Wide.name()]).await?;
        let answer = outcome.json().context("no report")?;
        ensure!(answer["complete"] == true, "{outcome:?}");
        let found = confirmed(&answer)?;
        ensure!(found == injected, "confirmed {found:?} where {injected:?} were injected: {answer}");
        let all = f64::from(u32::try_from(injected.missing + injected.different + injected.extra)?);
        self.injected += all;
        self.confirmed += all;
        self.passes += 1.0;
        if damaged {
            servers.ci.run(check_load::MEND).await?;
        }
        Ok(())
    }
}

/// Once the sync has nothing left to do, both sides are equal.
async fn settled(servers: &Servers) -> Result<()> {
    eventually("the mirror is drained", PATIENCE, async || {
        Ok(sqlx::query(session::IS_DRAINED).bind(Width::Wide.name()).execute(servers.main.pool()).await.is_ok())
    })
    .await?;
    Width::Wide.equal(servers).await
}
