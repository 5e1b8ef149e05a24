//! Keys that could not be done: set aside with their reason, tried again, quarantined in the end.
//!
//! `lfk.retry` in the parent's database is authoritative. A crash between the work and the statement that forgets the key
//! tries it once more, which changes nothing.

use std::collections::HashSet;
use std::time::Duration;

use lfk_sql::statements;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::cursor::{LEASE, Lease};
use crate::database::{Purpose, Tx};
use crate::error::Result;
use crate::key::Key;

/// A key that could not be done, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SetAside {
    /// The key.
    pub key: Key,
    /// Why.
    pub reason: Reason,
    /// The SQLSTATE of the error that did it, where there was one.
    pub sqlstate: Option<String>,
    /// The server's words without its DETAIL.
    pub error: Option<String>,
}

/// Why a key was set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The application held locks on its children.
    Locked,
    /// Even one key and few rows took longer than a statement may.
    TimedOut,
    /// Statements kept reaching the children's database too long after the re-check.
    Late,
    /// Deadlocks or serialisation failures, again and again.
    Contended,
    /// The statement succeeded twice and children are still there: a trigger keeps them, or somebody adds more.
    StillThere,
    /// So many children that they are cleaned beside the others, a bounded share of the time.
    Wide,
    /// The server refuses this key: a constraint, a trigger, a value.
    Poisoned,
}

impl Reason {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Locked => "locked",
            Self::TimedOut => "timed_out",
            Self::Late => "late",
            Self::Contended => "contended",
            Self::StillThere => "still_there",
            Self::Wide => "wide",
            Self::Poisoned => "poisoned",
        }
    }

    /// Whether trying again and again will not help: then the key is quarantined in the end. Locks and load
    /// pass.
    fn is_to_blame(self) -> bool {
        matches!(self, Self::Poisoned | Self::StillThere | Self::TimedOut)
    }
}

/// When a key is tried again, and when it is given up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RetryPolicy {
    /// The longest wait between two attempts.
    pub(crate) longest_wait: Duration,
    /// Attempts after which a key that is to blame is quarantined.
    pub(crate) attempts: i32,
}

/// Stores keys set aside, in the transaction of an advance whose update has already proven that the lease is ours.
pub(crate) async fn set_aside(tx: &mut Tx, lease: &Lease, keys: &[SetAside], policy: &RetryPolicy) -> Result<()> {
    for one in keys {
        let width = i64::try_from(one.key.0.len()).unwrap_or(i64::MAX);
        tx.query(statements::SET_ASIDE)
            .bind(&lease.consumer)
            .bind(Key::flatten(std::slice::from_ref(&one.key)))
            .bind(width)
            .bind(one.reason.as_str())
            .bind(&one.sqlstate)
            .bind(&one.error)
            .bind(if one.reason == Reason::Wide { 0.0 } else { policy.longest_wait.as_secs_f64() })
            .bind(one.reason.is_to_blame().then_some(policy.attempts))
            .execute(tx.conn())
            .await
            .map_err(|e| lease.home.error(e))?;
    }
    Ok(())
}

/// What a turn finds set aside.
#[derive(Debug)]
pub(crate) struct Due {
    /// Keys whose time has come.
    pub(crate) keys: Vec<Key>,
    /// Those of them that were denied something which others were not.
    pub(crate) denied_before: HashSet<Key>,
    /// Those of them that a check found to differ.
    pub(crate) repairs: HashSet<Key>,
    /// Whether the definition has keys in quarantine.
    pub(crate) quarantine: bool,
}

/// Keys whose time has come, at most `limit`.
pub(crate) async fn due(lease: &Lease, limit: i64, policy: &RetryPolicy) -> Result<Due> {
    let error = |e| lease.home.error(e);
    let mut tx = lease.home.begin(Purpose::Log).await?;
    let rows = tx
        .query(statements::DUE_RETRIES)
        .bind(&lease.consumer)
        .bind(limit)
        .bind(policy.longest_wait.as_secs_f64())
        .fetch_all(tx.conn())
        .await
        .map_err(error)?;
    let quarantine: bool =
        tx.query_scalar(statements::HAS_QUARANTINED).bind(&lease.consumer).fetch_one(tx.conn()).await.map_err(error)?;
    tx.commit().await?;
    let key = |row: &PgRow| Key(row.get("key"));
    let denied = rows.iter().filter(|row| row.get("denied"));
    let repairs = rows.iter().filter(|row| row.get("repair")).map(key).collect();
    Ok(Due { keys: rows.iter().map(key).collect(), denied_before: denied.map(key).collect(), repairs, quarantine })
}

/// Takes keys out of quarantine that were done after all. Keys that are not in it are no matter.
pub(crate) async fn leave_quarantine(lease: &Lease, keys: &[Key]) -> Result<()> {
    let Some(first) = keys.first() else { return Ok(()) };
    let mut tx = lease.home.begin(Purpose::Log).await?;
    lease.hold(&mut tx).await?;
    let left = tx
        .query(statements::LEAVE_QUARANTINE)
        .bind(&lease.consumer)
        .bind(Key::flatten(keys))
        .bind(i64::try_from(first.0.len()).unwrap_or(i64::MAX))
        .execute(tx.conn())
        .await
        .map_err(|e| lease.home.error(e))?
        .rows_affected();
    tx.commit().await?;
    if left > 0 {
        tracing::info!(consumer = lease.consumer, keys = left, "keys were done after all and left quarantine");
    }
    Ok(())
}

/// The wide parent that has waited longest.
pub(crate) async fn due_wide(lease: &Lease) -> Result<Option<Key>> {
    let mut tx = lease.home.begin(Purpose::Log).await?;
    let key: Option<Vec<String>> = tx
        .query_scalar(statements::DUE_WIDE)
        .bind(&lease.consumer)
        .fetch_optional(tx.conn())
        .await
        .map_err(|e| lease.home.error(e))?;
    tx.commit().await?;
    Ok(key.map(Key))
}

/// What trying keys again came to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) done: Vec<Key>,
    pub(crate) failed: Vec<SetAside>,
    pub(crate) resurrected: i64,
    pub(crate) rows: i64,
    pub(crate) keys_per_second: f64,
}

/// Forgets what was done and counts an attempt for what was not, fenced by the lease.
pub(crate) async fn settle(lease: &Lease, outcome: &Outcome, policy: &RetryPolicy) -> Result<()> {
    lease.check()?;
    let mut tx = lease.home.begin(Purpose::Log).await?;
    let keys = i64::try_from(outcome.done.len()).unwrap_or(i64::MAX);
    let renewed = tx
        .query(statements::COUNT_PROGRESS)
        .bind(&lease.consumer)
        .bind(lease.token())
        .bind(lease.owner)
        .bind(LEASE.as_secs_f64())
        .bind(keys)
        .bind(outcome.resurrected)
        .bind(outcome.rows)
        .bind(outcome.keys_per_second)
        .execute(tx.conn())
        .await
        .map_err(|e| lease.home.error(e))?
        .rows_affected();
    if renewed == 0 {
        return Err(lease.lose());
    }
    if let Some(first) = outcome.done.first() {
        tx.query(statements::FINISH_RETRIES)
            .bind(&lease.consumer)
            .bind(Key::flatten(&outcome.done))
            .bind(i64::try_from(first.0.len()).unwrap_or(i64::MAX))
            .execute(tx.conn())
            .await
            .map_err(|e| lease.home.error(e))?;
    }
    set_aside(&mut tx, lease, &outcome.failed, policy).await?;
    tx.commit().await
}

impl SetAside {
    /// A key with the reason, and the error that gave it.
    #[must_use]
    pub fn new(key: Key, reason: Reason, error: Option<&crate::error::Error>) -> Self {
        let sqlstate = error.and_then(crate::error::Error::sqlstate);
        Self { key, reason, sqlstate, error: error.map(|e| e.message.clone()) }
    }
}
