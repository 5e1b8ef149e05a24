//! Handing proven differences to the sync, the only one who writes the target; and proving that they are gone.

use std::time::{Duration, Instant};

use lfk_core::parts::{Key, Purpose};
use lfk_core::{Error, ErrorKind, Result, State};
use lfk_sql::statements;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::ends::Ends;
use super::guard;
use super::report::{Repaired, Stopped};
use super::sandwich;
use super::suspects::Suspects;
use super::{Plan, Verdict};
use crate::Columns;

/// After so many a key is stuck: a third time would write what the second did.
const TRIES: u32 = 2;
const SHORTEST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// Why nothing may be handed over now; nothing: it may.
///
/// # Errors
/// When a database cannot be reached.
pub(super) async fn forbidden(plan: &Plan<'_>) -> Result<Option<Stopped>> {
    match guard::identities(plan.mirror, &plan.ends.source, &plan.ends.target).await {
        Ok((now, _)) if now == plan.identities => {}
        Ok(_) => return Ok(Some(Stopped::AnotherDatabase)),
        Err(error) if matches!(error.kind, ErrorKind::Refused | ErrorKind::NotInstalled) => {
            return Ok(Some(Stopped::AnotherDatabase));
        }
        Err(error) => return Err(error),
    }
    if !is_active(plan).await? {
        return Ok(Some(Stopped::NotActive));
    }
    let now = Columns::fingerprint_now(plan.mirror, &plan.ends.source, &plan.ends.target).await?;
    Ok((now != plan.ends.shapes.columns.fingerprint).then_some(Stopped::SchemaChanged))
}

/// Whether the sync would do what is handed over.
async fn is_active(plan: &Plan<'_>) -> Result<bool> {
    let source = &plan.ends.source;
    let mut tx = source.begin(Purpose::Log).await?;
    let read = tx.query(statements::READ_STATE).bind(plan.consumer());
    let row = read.fetch_optional(tx.conn()).await.map_err(|e| source.error(e))?;
    tx.commit().await?;
    let active = |row: &PgRow| State::from_sql(row.get("state")) == State::Active && !row.get::<bool, _>("stopped");
    Ok(row.is_some_and(|row| active(&row)))
}

/// Refuses a repair before anything is compared that nobody would carry out.
///
/// # Errors
/// Refused; when the database cannot be reached.
pub(super) async fn refuse_unless_active(plan: &Plan<'_>) -> Result<()> {
    if is_active(plan).await? {
        return Ok(());
    }
    let name = &plan.mirror.name;
    Err(Error::refused("nothing can be repaired: the mirror is not active, or the kill switch is on")
        .in_database(plan.ends.source.name())
        .for_definition(name)
        .with_hint(format!("`lfk activate {name}`, or `lfk start --all` where `lfk status` says stopped; without --repair the check only tells")))
}

/// Hands keys over, waits until the sync has done them, and looks again. At most two tries a key.
///
/// # Errors
/// When a database fails. Keys that were handed over are done by the sync all the same.
pub(super) async fn repair(plan: &Plan<'_>, keys: Vec<Key>) -> Result<Repaired> {
    let mut repaired = Repaired::default();
    let mut left = keys;
    for _ in 0..TRIES {
        if left.is_empty() {
            break;
        }
        // The schema may change while the sync works.
        repaired.stopped = forbidden(plan).await?;
        if repaired.stopped.is_some() {
            break;
        }
        for some in left.chunks(sandwich::KEYS) {
            hand_over(&plan.ends, plan.consumer(), some).await?;
        }
        let mut again = Suspects::default();
        if wait_for_sync(plan, &left).await? {
            again.look(&plan.ends, plan.consumer(), left).await?;
            again.settle(&plan.ends, plan.consumer(), plan.until(), || plan.is_over()).await?;
        } else {
            repaired.stopped = Some(Stopped::TimedOut);
            again.look(&plan.ends, plan.consumer(), left).await?;
        }
        let (in_flight, hot) = again.unsettled();
        repaired.repaired += again.cleared;
        repaired.waiting += in_flight + hot + again.quarantined + again.not_yet;
        left = again.proven.into_iter().map(|(key, _): (Key, Verdict)| key).collect();
        if repaired.stopped.is_some() {
            break;
        }
    }
    let left = i64::try_from(left.len()).unwrap_or(i64::MAX);
    match repaired.stopped {
        None => repaired.stuck = left,
        Some(_) => repaired.waiting += left,
    }
    Ok(repaired)
}

async fn hand_over(ends: &Ends, consumer: &str, keys: &[Key]) -> Result<()> {
    let mut tx = ends.source.begin(Purpose::Log).await?;
    let query = tx.query(statements::CHECK_HAND_OVER).bind(consumer).bind(Key::flatten(keys)).bind(width(ends));
    query.execute(tx.conn()).await.map_err(|e| ends.source.error(e))?;
    tx.commit().await
}

/// Whether all of them have left the keys set aside, or are in quarantine, before the time was over.
async fn wait_for_sync(plan: &Plan<'_>, keys: &[Key]) -> Result<bool> {
    let (mut fewest, mut wait, mut until) = (i64::MAX, SHORTEST_WAIT, plan.until());
    loop {
        let mut waiting = 0;
        for some in keys.chunks(sandwich::KEYS) {
            waiting += count_handed(&plan.ends, plan.consumer(), some).await?;
        }
        if waiting == 0 {
            return Ok(true);
        }
        if waiting < fewest {
            // Somebody works on them: patience begins anew.
            (fewest, wait, until) = (waiting, SHORTEST_WAIT, plan.until());
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() || plan.is_over() {
            return Ok(false);
        }
        wait = (wait * 2).min(LONGEST_WAIT);
        tokio::time::sleep(wait.min(left)).await;
    }
}

async fn count_handed(ends: &Ends, consumer: &str, keys: &[Key]) -> Result<i64> {
    let mut tx = ends.source.begin(Purpose::Log).await?;
    let query =
        tx.query_scalar(statements::CHECK_COUNT_HANDED).bind(consumer).bind(Key::flatten(keys)).bind(width(ends));
    let waiting = query.fetch_one(tx.conn()).await.map_err(|e| ends.source.error(e))?;
    tx.commit().await?;
    Ok(waiting)
}

fn width(ends: &Ends) -> i64 {
    i64::try_from(ends.shapes.width()).unwrap_or(i64::MAX)
}
