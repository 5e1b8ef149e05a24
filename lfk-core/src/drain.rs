//! Bounded runs: until nothing is left, or until everything that was in the logs has been visited once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lfk_sql::statements;
use sqlx::Row as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::clean::Pace;
use crate::consumer::{Effort, End};
use crate::context::Context;
use crate::cursor::LEASE;
use crate::database::{Database, Purpose};
use crate::error::{Error, ErrorKind, Result};
use crate::pair;
use crate::report::Drained;
use crate::schedule::Lane;
use crate::worker::{Who, Worker};

/// How often the backlog is looked at while no turn of ours ends.
const LOOK: Duration = Duration::from_millis(100);
/// How soon it is looked at again at the earliest, however many turns end.
const PAUSE: Duration = Duration::from_millis(10);
/// How long a database may be away when no timeout is given.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a definition must be blocked before a run without another word from it counts it as such.
const BLOCKED_FOR: Duration = Duration::from_secs(12);

/// What one look over all databases saw.
#[derive(Debug, Default)]
struct Look {
    /// The seq of each cursor: equal in two looks, nobody worked between them.
    seqs: BTreeMap<String, i64>,
    /// Definitions that have something left, and whether that waits for a person.
    left: BTreeMap<String, bool>,
    quarantined: i64,
}

/// Works until nothing is left, whoever does the work. Stops its own workers before it answers.
pub(crate) async fn until_drained(
    ctx: Arc<Context>,
    timeout: Option<Duration>,
    asked_to_stop: impl Future<Output = ()>,
) -> Result<Drained> {
    let stop = CancellationToken::new();
    let _guard = stop.clone().drop_guard();
    let mut workers = spawn_workers(&ctx, &stop);
    let result = tokio::select! {
        result = watch(&ctx, &mut workers, timeout) => result,
        () = asked_to_stop => Ok(Drained::Stopped),
    };
    stop.cancel();
    while let Some(ended) = workers.join_next().await {
        flatten(ended)?;
    }
    match result {
        // A worker that was still waiting for a connection when the time was up knows better by now.
        Ok(Drained::TimedOut) => ctx.troubles.find(&[ErrorKind::Unreachable]).map_or(Ok(Drained::TimedOut), Err),
        other => other,
    }
}

/// One worker for each database that has a key log of ours.
pub(crate) fn spawn_workers(ctx: &Arc<Context>, stop: &CancellationToken) -> JoinSet<Result<()>> {
    let mut workers = JoinSet::new();
    for home in ctx.homes() {
        workers.spawn(Worker::new(ctx.clone(), home.clone(), stop.clone()).run());
    }
    workers
}

/// A task that panicked is an error, not silence.
pub(crate) fn flatten(ended: std::result::Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    ended.unwrap_or_else(|e| Err(Error::new(ErrorKind::Crashed, format!("a worker died: {e}"))))
}

async fn watch(ctx: &Context, workers: &mut JoinSet<Result<()>>, timeout: Option<Duration>) -> Result<Drained> {
    let began = Instant::now();
    let mut last_seen = Instant::now();
    // What our own workers have begun is finished, and their upkeep done, before the work counts as done.
    let homes = ctx.homes().len();
    let mut quiet: Option<BTreeMap<String, i64>> = None;
    loop {
        if let Some(ended) = workers.try_join_next() {
            flatten(ended)?;
        }
        let mut first_quiet = false;
        let at_rest = ctx.pulse.is_quiet(homes);
        match look(ctx).await {
            Ok(look) => {
                last_seen = Instant::now();
                if look.left.is_empty() && !at_rest {
                    quiet = None;
                } else if look.left.is_empty() {
                    // Work in one database may have made work in another one that was looked at earlier. Only two
                    // looks with nothing left and no cursor moved in between prove that there is none.
                    if quiet.as_ref() == Some(&look.seqs) {
                        let attention = look.quarantined > 0;
                        return Ok(if attention { Drained::NeedsAttention } else { Drained::Drained });
                    }
                    first_quiet = quiet.is_none();
                    quiet = Some(look.seqs);
                } else {
                    quiet = None;
                    if let Some(end) = stuck(ctx, &look, began) {
                        return end;
                    }
                }
            }
            Err(error) if error.kind == ErrorKind::Unreachable => {
                quiet = None;
                if timeout.is_none() && last_seen.elapsed() >= PATIENCE {
                    return Err(error);
                }
                if out_of_time(began, timeout) {
                    return Err(error);
                }
            }
            // A leaf of the log that is being made again keeps everybody from looking. Nothing is known meanwhile.
            Err(error) if error.sqlstate().as_deref() == Some("55P03") => quiet = None,
            Err(error) => return Err(error),
        }
        if timeout.is_none() && began.elapsed() >= PATIENCE {
            give_up_on_absent(ctx)?;
        }
        if out_of_time(began, timeout) {
            return ctx.troubles.find(&[ErrorKind::Unreachable]).map_or(Ok(Drained::TimedOut), Err);
        }
        // The second of the two looks need not wait: what it proves lies between them.
        if !first_quiet {
            tokio::time::sleep(PAUSE).await;
            let _ = tokio::time::timeout(LOOK, ctx.pulse.stirred()).await;
        }
    }
}

fn out_of_time(began: Instant, timeout: Option<Duration>) -> bool {
    timeout.is_some_and(|timeout| began.elapsed() >= timeout)
}

/// Without a timeout nobody waits for ever: a database that has been away for a while ends the run.
fn give_up_on_absent(ctx: &Context) -> Result<()> {
    match ctx.troubles.oldest(&[ErrorKind::Unreachable], PATIENCE) {
        Some(error) => Err(error),
        None => Ok(()),
    }
}

/// Ends the run when everything that is left waits for a person, and this run has seen so itself. What this run may not
/// touch counts as such, although nothing is noted in a database that is not ours to work in.
fn stuck(ctx: &Context, look: &Look, began: Instant) -> Option<Result<Drained>> {
    let known = |name: &String| ctx.troubles.knows(name) || began.elapsed() >= BLOCKED_FOR;
    let waits = |(name, blocked): (&String, &bool)| *blocked && known(name) || ctx.troubles.is_refused(name);
    if !look.left.iter().all(waits) {
        return None;
    }
    match ctx.troubles.find(&[ErrorKind::Refused, ErrorKind::NotInstalled, ErrorKind::Config]) {
        Some(error) => Some(Err(error)),
        None => Some(Ok(Drained::NeedsAttention)),
    }
}

async fn look(ctx: &Context) -> Result<Look> {
    let mut all = Look::default();
    for home in ctx.homes() {
        look_at(ctx, home, &mut all).await?;
    }
    Ok(all)
}

async fn look_at(ctx: &Context, home: &Database, all: &mut Look) -> Result<()> {
    // That nothing is left in a copy says nothing about the database that was meant.
    pair::check_identity(home).await?;
    let mut tx = home.begin(Purpose::Log).await?;
    tx.hold_log().await.map_err(|e| pair::missing(home, e))?;
    let rows = tx
        .query(statements::BACKLOG.clone().into_sql_str())
        .fetch_all(tx.conn())
        .await
        .map_err(|e| pair::missing(home, e))?;
    tx.commit().await?;
    let ours = |name: &str| ctx.definition(name).is_some_and(|d| d.declaration().parent.database == home.name());
    let mut found = 0;
    for row in rows.iter().filter(|row| ours(row.get("name"))) {
        found += 1;
        let name: String = row.get("name");
        let retries: i64 = row.get("retries");
        let active = row.get::<&str, _>("state") == "active";
        all.seqs.insert(name.clone(), row.get("seq"));
        all.quarantined += row.get::<i64, _>("quarantined");
        if row.get::<bool, _>("log_work") || (active && retries > 0) {
            let blocked = row.get::<&str, _>("condition") == "blocked" || row.get::<bool, _>("stopped");
            if row.get::<bool, _>("stopped") {
                ctx.troubles.note(&name, &Error::new(ErrorKind::Paused, "the kill switch is on"));
            }
            all.left.insert(name, blocked);
        }
    }
    let wanted = ctx.declarations().filter(|d| d.parent.database == home.name()).count();
    if found < wanted {
        return Err(Error::new(ErrorKind::NotInstalled, "some definitions of the configuration are not installed")
            .in_database(home.name())
            .with_hint("run `lfk install`"));
    }
    Ok(())
}

/// Visits everything that is in the logs now, once, one definition after the other. A definition that another worker holds
/// is being visited already.
pub(crate) async fn once(ctx: &Context, asked_to_stop: impl Future<Output = ()>) -> Result<Drained> {
    let stop = CancellationToken::new();
    let visits = visit_all(ctx, &stop);
    tokio::pin!(visits);
    tokio::select! {
        result = &mut visits => result,
        () = asked_to_stop => {
            stop.cancel();
            visits.await.map(|_| Drained::Stopped)
        }
    }
}

/// One visit. A lease that another worker holds is waited for until it would have run out: after that a live worker renews it,
/// and is visiting the definition itself.
async fn visit(ctx: &Context, name: &str, home: &Database, owner: Uuid, stop: &CancellationToken) -> Result<()> {
    let mut pace = Pace::new(ctx.target);
    let began = Instant::now();
    loop {
        let mut effort = Effort::default();
        let who = Who { definition: name, consumer: name, lane: Lane::Head };
        let held_elsewhere = match ctx.turn(who, home, owner, stop, Duration::MAX, &mut pace, &mut effort).await {
            Ok(end) => end == End::Elsewhere,
            Err(error) => return Err(error),
        };
        if !held_elsewhere || began.elapsed() > LEASE || stop.is_cancelled() {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn visit_all(ctx: &Context, stop: &CancellationToken) -> Result<Drained> {
    let owner = Uuid::new_v4();
    let mut first_error = None;
    for definition in ctx.declarations() {
        if stop.is_cancelled() {
            break;
        }
        let Some(home) = ctx.database(&definition.parent.database) else { continue };
        pair::check_identity(home).await?;
        match visit(ctx, &definition.name, home, owner, stop).await {
            Ok(()) => {}
            Err(error) if error.kind == ErrorKind::Crashed => return Err(error),
            // The others still get their visit.
            Err(error) => first_error = first_error.or(Some(error)),
        }
    }
    // What went wrong first says more than that a database cannot be looked at, which may be for the same reason.
    if let Some(error) = first_error {
        return Err(error);
    }
    let attention = look(ctx).await?.quarantined > 0;
    Ok(if attention { Drained::NeedsAttention } else { Drained::Drained })
}
