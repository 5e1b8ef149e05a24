//! Very many definitions on one parent.

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result};
use lfk_tests::{Signal, eventually};

use super::Size;
use crate::ours::Ours;
use crate::report::{Case, Goal, Unit};
use crate::round::{Rounds, Sample};
use crate::sent;
use crate::stage::{Shape, Stage};
use crate::statements::{capture, scale, session, stage};
use crate::verify::{content, only_doomed_are_gone};

/// Parents, of which one in four is deleted.
const PARENTS: i64 = 800;
/// A bound, never a measure.
const PATIENCE: Duration = Duration::from_secs(300);

/// 10, 100 and 1000 tables of children.
pub async fn run(size: Size) -> Result<Vec<Case>> {
    let counts = size.pick(vec![10, 100, 1000], vec![10, 100]);
    let idle = size.pick(Duration::from_secs(30), Duration::from_secs(6));
    let mut stages = Vec::new();
    for count in &counts {
        stages.push((*count, make(*count).await?));
    }
    let rounds = Rounds::run(size.rounds(3, 1), &counts, async |count| {
        let (_, stage) = stages.iter().find(|(of, _)| *of == count).context("no stage")?;
        one(stage, count, idle).await
    });
    let rounds = rounds.await?;
    let mut cases = Vec::new();
    let fewest = counts[0];
    for count in counts {
        let name = |what: &str| format!("{count} definitions, {what}");
        for (what, key) in [("idle, parents' database", "idle main"), ("idle, children's database", "idle ci")] {
            let rate = rounds.median(count, key)?;
            let case = Case::new("scale", name(what), Unit::StatementsPerSecond, rate, rounds.count);
            let before = rounds.median(fewest, key)?;
            cases.push(match before {
                _ if count == fewest => case,
                // Nothing at all cannot be divided by.
                0.0 => case.goal(Goal::AtMost(0.2)),
                _ => case.against(format!("{fewest} definitions"), before).goal(Goal::AtMostTimes(1.2)),
            });
        }
        let each = rounds.median(count, "ms each")?;
        let case = Case::new("scale", name("drain, for each"), Unit::Milliseconds, each, rounds.count);
        let case = case.note(format!("{} parents deleted, one child in each table; whole process", PARENTS / 4));
        cases.push(if count == fewest {
            case
        } else {
            case.against(format!("{fewest} definitions"), rounds.median(fewest, "ms each")?)
                .goal(Goal::AtMostTimes(1.2))
        });
    }
    Ok(cases)
}

async fn make(count: i64) -> Result<Stage> {
    let shape = Shape { parents: PARENTS, builds: 0, notes: false, doomed: (1, 4) };
    Stage::build_with(shape, async |servers| {
        servers.ci.run(scale::CREATE_CHILDREN).await?;
        servers.ci.run(scale::COUNT_CHILDREN).await?;
        servers.ci.run_with(scale::CALL_CREATE, &[count, PARENTS]).await?;
        Ok(())
    })
    .await
}

fn definitions(count: i64) -> Result<String> {
    let mut all = String::new();
    for n in 1..=count {
        write!(
            all,
            "\n[[loose_foreign_key]]\nparent = \"main:public.projects(id)\"\nchild = \"ci:public.child_{n}(project_id)\"\n\
             on_delete = \"delete\"\n"
        )?;
    }
    Ok(all)
}

async fn one(stage: &Stage, count: i64, idle: Duration) -> Result<Sample> {
    let servers = stage.copy().await?;
    let before = content(&servers.ci, scale::CALL_COUNT).await?;
    let ours = Ours::install(&servers, &[&definitions(count)?]).await?;
    let mut daemon = ours.daemon()?;
    // It is idle once it has seen one delete, and everybody has dealt with that.
    servers.main.run_with(capture::DELETE_ONE, &[PARENTS]).await?;
    eventually("all is drained", PATIENCE, async || drained(&servers, count).await).await?;
    let [main, ci] = sent::per_second(&servers, idle).await?;
    daemon.signal(Signal::Terminate)?;
    daemon.wait(Duration::from_secs(60)).await?.expect(0);

    servers.main.run(stage::DELETE_DOOMED).await?;
    servers.settle().await?;
    let drain = ours.drain().await?;
    let after = content(&servers.ci, scale::CALL_COUNT).await?;
    only_doomed_are_gone("children", &before, &after)?;
    stage.expected.cleaned(&servers).await?;
    let each = drain.seconds * 1e3 / f64::from(u32::try_from(count)?);
    Ok(vec![("idle main", main), ("idle ci", ci), ("ms each", each), ("seconds", drain.seconds), ("MB", drain.peak_mb)])
}

async fn drained(servers: &crate::server::Servers, count: i64) -> Result<bool> {
    for n in 1..=count {
        let name = format!("child_{n}.project_id");
        if sqlx::query(session::IS_DRAINED).bind(name).execute(servers.main.pool()).await.is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}
