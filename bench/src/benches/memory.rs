//! How much memory the daemon takes at most.

use std::time::Duration;

use anyhow::Result;
use lfk_tests::{Signal, eventually};

use super::{Size, backlog};
use crate::ours::{self, Ours, peak_mb};
use crate::report::{Case, Goal, Unit};
use crate::round::median;
use crate::server::Servers;
use crate::stage::{Shape, Stage};
use crate::statements::{session, stage};

/// A bound, never a measure.
const PATIENCE: Duration = Duration::from_secs(900);

/// What `drain` and `backlog` hold, by the daemon.
pub async fn run(size: Size) -> Result<Vec<Case>> {
    let count = size.rounds(3, 1);
    let shape = Shape { parents: size.pick(200_000, 80_000), builds: 5, notes: true, doomed: (1, 4) };
    let drained = Stage::build(shape).await?;
    let mut peaks = Vec::new();
    for _ in 0..count {
        let servers = drained.copy().await?;
        let ours = Ours::install(&servers, &[ours::BUILDS, ours::NOTES]).await?;
        servers.main.run(stage::DELETE_DOOMED).await?;
        peaks.push(watch(&servers, &ours, &[ours::BUILDS_NAME, ours::NOTES_NAME]).await?);
        drained.expected.cleaned(&servers).await?;
    }
    drop(drained);
    let drain = median(&peaks);

    let logged = backlog::logged_singly(size.pick(6_000_000, 480_000)).await?;
    let mut peaks = Vec::new();
    for _ in 0..count {
        let servers = logged.copy().await?;
        let ours = Ours::of(&servers, &[ours::BUILDS])?;
        peaks.push(watch(&servers, &ours, &[ours::BUILDS_NAME]).await?);
        logged.expected.cleaned(&servers).await?;
    }
    let case = |name, peak| Case::new("memory", name, Unit::Megabytes, peak, count).goal(Goal::AtMost(60.0));
    Ok(vec![case("drain", drain), case("backlog", median(&peaks))])
}

/// The peak of a daemon that drains everything.
async fn watch(servers: &Servers, ours: &Ours, names: &[&str]) -> Result<f64> {
    let mut daemon = ours.daemon()?;
    eventually("everything is drained", PATIENCE, async || {
        for name in names {
            let asked = sqlx::query(session::IS_DRAINED).bind(*name).execute(servers.main.pool()).await;
            match asked {
                Ok(_) => {}
                // What it raises while anything is left.
                Err(error) if error.as_database_error().is_some_and(|e| e.code().as_deref() == Some("55000")) => {
                    return Ok(false);
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(true)
    })
    .await?;
    let peak = peak_mb(daemon.pid())?;
    eprintln!("  daemon: peak {peak:.1} MB");
    daemon.signal(Signal::Terminate)?;
    daemon.wait(Duration::from_secs(30)).await?.expect(0);
    Ok(peak)
}
