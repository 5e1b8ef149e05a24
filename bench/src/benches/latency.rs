//! From the commit of a parent's delete to its children gone, while nothing else happens, and what waiting for it costs.

use std::time::Duration;

use anyhow::Result;
use lfk_tests::eventually;

use super::Size;
use crate::following::follow;
use crate::ours::{self, Ours};
use crate::report::{Case, Goal, Unit};
use crate::round::{Rounds, Sample};
use crate::sent;
use crate::stage::{Shape, Stage};
use crate::statements::{capture, latency, session};

/// How often a parent is deleted.
const PACE: Duration = Duration::from_millis(50);
/// A bound, never a measure.
const PATIENCE: Duration = Duration::from_secs(60);

/// The daemon with its default settings.
pub async fn run(size: Size) -> Result<Vec<Case>> {
    let (events, idle) = size.pick((1_500, Duration::from_secs(30)), (220, Duration::from_secs(5)));
    // One of four is doomed.
    let shape = Shape { parents: 4 * events, builds: 5, notes: false, doomed: (1, 4) };
    let stage = Stage::build(shape).await?;
    let rounds = Rounds::run(size.rounds(3, 1), &["daemon"], async |_| one(&stage, idle).await).await?;
    let case = |name: &str, unit, what| {
        anyhow::Ok(Case::new("latency", name, unit, rounds.median("daemon", what)?, rounds.count))
    };
    let note = format!("{events} deletes, one every {} ms", PACE.as_millis());
    let idle = format!("BEGIN and COMMIT counted, {} s", idle.as_secs());
    Ok(vec![
        case("commit to children gone, p50", Unit::Milliseconds, "p50")?.goal(Goal::AtMost(60.0)).note(&note),
        case("commit to children gone, p99", Unit::Milliseconds, "p99")?.goal(Goal::AtMost(200.0)).note(&note),
        case("idle, parents' database", Unit::StatementsPerSecond, "idle main")?.goal(Goal::AtMost(20.0)).note(&idle),
        case("idle, children's database", Unit::StatementsPerSecond, "idle ci")?.goal(Goal::AtMost(20.0)).note(&idle),
    ])
}

async fn one(stage: &Stage, idle: Duration) -> Result<Sample> {
    let servers = stage.copy().await?;
    servers.ci.run(latency::NOTIFY_GONE).await?;
    let ours = Ours::install(&servers, &[ours::BUILDS]).await?;
    let _daemon = ours.daemon()?;
    let doomed: Vec<i64> = sqlx::query_scalar(latency::READ_DOOMED).fetch_all(servers.main.pool()).await?;
    // The daemon is there once it has done something, and everything is warm then.
    let (first, rest) = doomed.split_at(20);
    follow(&servers, capture::DELETE_ONE, first, PACE).await?;
    let all = follow(&servers, capture::DELETE_ONE, rest, PACE).await?;
    eventually("all is drained", PATIENCE, async || {
        Ok(sqlx::query(session::IS_DRAINED).bind(ours::BUILDS_NAME).execute(servers.main.pool()).await.is_ok())
    })
    .await?;
    let [main, ci] = sent::per_second(&servers, idle).await?;
    stage.expected.cleaned(&servers).await?;
    Ok(vec![("p50", all.within(500)?), ("p99", all.within(990)?), ("idle main", main), ("idle ci", ci)])
}
