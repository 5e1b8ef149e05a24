//! What deleting parents costs whoever deletes them.

use std::time::Instant;

use anyhow::Result;
use futures::future::try_join_all;
use sqlx::PgConnection;

use super::Size;
use crate::baselines::status_queue;
use crate::ours::{self, Ours};
use crate::report::{Case, Goal, Unit};
use crate::round::{Rounds, Sample};
use crate::server::{Server, Servers};
use crate::stage::{Shape, Stage};
use crate::statements::{capture, stage, verify};
use crate::verify::{Content, captured_once, content, only_doomed_are_gone};

/// What hangs on the parents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Nothing,
    Ours,
    StatusQueue,
    KeyWithoutChildren,
    KeyWithChildren,
}

const ALL: [Who; 5] = [Who::Nothing, Who::Ours, Who::StatusQueue, Who::KeyWithoutChildren, Who::KeyWithChildren];

const BULK: &str = "bulk s";
const WAL: &str = "bulk WAL bytes";
const SINGLY: &str = "single µs";
const DURABLE_1: &str = "durable ms, 1 client";
const DURABLE_8: &str = "durable ms, 8 clients";

/// Children of each parent behind the native foreign key.
const CHILDREN: i64 = 5;
/// Parents that nobody deletes.
const SURVIVORS: i64 = 10_000;

/// How many parents are deleted in each way. They are numbered in this order.
#[derive(Debug, Clone, Copy)]
struct Plan {
    bulk: i64,
    singly: i64,
    /// Of one client.
    durable: i64,
}

impl Plan {
    fn all(self) -> i64 {
        self.bulk + self.singly + 9 * self.durable
    }
}

/// Bulk, singly in one transaction, and in durable commits.
pub async fn run(size: Size) -> Result<Vec<Case>> {
    let plan = Plan { bulk: size.pick(200_000, 60_000), singly: 10_000, durable: size.pick(2_000, 400) };
    let parents = plan.all() + SURVIVORS;
    let mut local = None;
    // The doomed ones are the first in a row here, not spread.
    let shape = Shape { parents, builds: 0, notes: false, doomed: (0, 1) };
    let stage = Stage::build_with(shape, async |servers| {
        for server in [&servers.main, &servers.ci] {
            server.run_with(stage::FILL_DOOMED, &[plan.all(), 1, 1]).await?;
        }
        servers.main.run(capture::CREATE_LOCAL).await?;
        servers.main.run_with(capture::FILL_LOCAL, &[parents, CHILDREN]).await?;
        servers.main.run(capture::INDEX_LOCAL).await?;
        servers.main.run(capture::DELETE_SINGLY).await?;
        local = Some(content(&servers.main, verify::LOCAL_BUILDS).await?);
        Ok(())
    });
    let stage = stage.await?;
    let rounds = Rounds::run(size.rounds(5, 2), &ALL, async |who| {
        let servers = stage.copy().await?;
        let ours = prepare(&servers, who).await?;
        let sample = delete(&servers, plan).await?;
        stage.expected.cleaned(&servers).await?;
        proven(&servers, who, plan, local.as_ref()).await?;
        drop(ours);
        Ok(sample)
    });
    cases(&rounds.await?, plan)
}

async fn prepare(servers: &Servers, who: Who) -> Result<Option<Ours>> {
    match who {
        Who::Nothing => {}
        Who::Ours => return Ok(Some(Ours::install(servers, &[ours::BUILDS]).await?)),
        Who::StatusQueue => status_queue::install(servers).await?,
        Who::KeyWithoutChildren => servers.main.run(capture::ADD_EMPTY_KEY).await?,
        Who::KeyWithChildren => servers.main.run(capture::ADD_FULL_KEY).await?,
    }
    Ok(None)
}

/// Everybody deletes the same parents in the same ways.
async fn delete(servers: &Servers, plan: Plan) -> Result<Sample> {
    let main = &servers.main;
    let mut from = 1;
    let mut next = |count: i64| {
        let range = [from, from + count - 1];
        from += count;
        range
    };
    servers.settle().await?;
    let one = durable(main, 1, next(plan.durable)).await?;
    servers.settle().await?;
    let eight = durable(main, 8, next(8 * plan.durable)).await?;

    servers.settle().await?;
    let [first, last] = next(plan.singly);
    let began = Instant::now();
    main.run_with(capture::CALL_SINGLY, &[first, last]).await?;
    let singly = began.elapsed().as_secs_f64() / each(plan.singly)?;

    servers.settle().await?;
    let before = main.wal().await?;
    let began = Instant::now();
    main.run_with(capture::DELETE_RANGE, &next(plan.bulk)).await?;
    let bulk = began.elapsed().as_secs_f64();
    let wal = main.wal().await? - before;
    Ok(vec![(BULK, bulk), (WAL, wal), (SINGLY, singly * 1e6), (DURABLE_1, one * 1e3), (DURABLE_8, eight * 1e3)])
}

/// Seconds of one commit, as one of so many clients sees it.
async fn durable(main: &Server, clients: i64, [first, last]: [i64; 2]) -> Result<f64> {
    let mut connections = Vec::new();
    for _ in 0..clients {
        let mut connection = main.connect().await?;
        // Prepared before the clock runs.
        sqlx::query(capture::DELETE_ONE).bind(0_i64).execute(&mut connection).await?;
        connections.push(connection);
    }
    let one = async |mut connection: PgConnection, start: i64| -> Result<()> {
        let mut id = start;
        while id <= last {
            sqlx::query(capture::DELETE_ONE).bind(id).execute(&mut connection).await?;
            id += clients;
        }
        Ok(())
    };
    let began = Instant::now();
    try_join_all(connections.into_iter().zip(first..).map(|(connection, start)| one(connection, start))).await?;
    Ok(began.elapsed().as_secs_f64() * each(clients)? / each(last - first + 1)?)
}

/// A count as a divisor.
fn each(count: i64) -> Result<f64> {
    Ok(f64::from(u32::try_from(count)?))
}

async fn proven(servers: &Servers, who: Who, plan: Plan, local: Option<&Content>) -> Result<()> {
    match (who, local) {
        (Who::Ours, _) => captured_once(&servers.main, verify::LOGGED, plan.all()).await,
        (Who::StatusQueue, _) => captured_once(&servers.main, verify::QUEUED, plan.all()).await,
        (Who::KeyWithChildren, Some(before)) => {
            let after = content(&servers.main, verify::LOCAL_BUILDS).await?;
            only_doomed_are_gone("local_builds", before, &after)
        }
        _ => Ok(()),
    }
}

/// What is measured, in which unit, what it may cost in times of no trigger, and of the status queue.
type Line = (&'static str, &'static str, Unit, Option<f64>, Option<f64>);

const LINES: [Line; 5] = [
    ("bulk", BULK, Unit::Seconds, Some(3.0), Some(0.45)),
    ("bulk, WAL", WAL, Unit::Bytes, Some(1.10), None),
    ("singly in one transaction", SINGLY, Unit::Microseconds, None, None),
    ("durable, 1 client", DURABLE_1, Unit::Milliseconds, Some(1.10), None),
    ("durable, 8 clients", DURABLE_8, Unit::Milliseconds, Some(1.10), None),
];

fn cases(rounds: &Rounds<Who>, plan: Plan) -> Result<Vec<Case>> {
    let against = [
        (Who::Nothing, "no trigger"),
        (Who::StatusQueue, "status queue"),
        (Who::KeyWithoutChildren, "native key, no child"),
        (Who::KeyWithChildren, "native key, 5 children"),
    ];
    let mut cases = Vec::new();
    for (name, what, unit, of_nothing, of_queue) in LINES {
        let ours = rounds.median(Who::Ours, what)?;
        for (who, baseline) in against {
            let mut case =
                Case::new("capture", name, unit, ours, rounds.count).against(baseline, rounds.median(who, what)?);
            let goal = match who {
                Who::Nothing => of_nothing,
                Who::StatusQueue => of_queue,
                _ => None,
            };
            if let Some(times) = goal {
                case = case.goal(Goal::AtMostTimes(times));
            }
            if what == BULK {
                case = case.note(format!("{} parents", plan.bulk));
            }
            cases.push(case);
        }
    }
    Ok(cases)
}
