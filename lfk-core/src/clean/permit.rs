//! On whose behalf children are looked at and cleaned, and how much of it.
//!
//! The daemon works by a lease, and only for definitions that are active. A repair that a person has asked for works by a
//! lease too where the definition is installed, so that no daemon does the same meanwhile, but for definitions that observe
//! as well. Where nothing is installed there is nothing to lease: what keeps wrong deletes away (re-check, deadline, ONLY)
//! does not need one.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::cursor::Lease;
use crate::database::{Database, Tx};
use crate::definition::State;
use crate::error::{Error, ErrorKind, Result};

/// Who may act, for which definition, and how many rows it may change.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Permit<'a> {
    /// The parents' database.
    pub(crate) home: &'a Database,
    /// For errors and logs.
    pub(crate) consumer: &'a str,
    lease: Option<&'a Lease>,
    /// A person has asked for it: a definition that observes may be worked on.
    by_hand: bool,
    budget: Option<&'a Budget>,
}

/// Rows that a repair may still change, and those that it has changed.
#[derive(Debug)]
pub(crate) struct Budget {
    left: AtomicU64,
    limited: bool,
    done: AtomicU64,
}

impl Budget {
    /// At most so many rows; `None`: any number.
    pub(crate) fn new(most: Option<u64>) -> Self {
        Self { left: AtomicU64::new(most.unwrap_or(u64::MAX)), limited: most.is_some(), done: AtomicU64::new(0) }
    }

    /// Rows that were changed, committed ones only.
    pub(crate) fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// Whether nothing more may be changed.
    pub(crate) fn is_used_up(&self) -> bool {
        self.limited && self.left.load(Ordering::Relaxed) == 0
    }
}

impl<'a> From<&'a Lease> for Permit<'a> {
    fn from(lease: &'a Lease) -> Self {
        Self { home: &lease.home, consumer: &lease.consumer, lease: Some(lease), by_hand: false, budget: None }
    }
}

impl<'a> Permit<'a> {
    /// To look, and no more, at what need not be installed.
    pub(crate) fn to_look(home: &'a Database, name: &'a str) -> Self {
        Self { home, consumer: name, lease: None, by_hand: true, budget: None }
    }

    /// To repair what a person has asked for, with the lease where there is one to have.
    pub(crate) fn to_repair(home: &'a Database, name: &'a str, lease: Option<&'a Lease>, budget: &'a Budget) -> Self {
        Self { home, consumer: name, lease, by_hand: true, budget: Some(budget) }
    }

    /// An error once the lease is lost: asked before everything that writes.
    pub(crate) fn check(&self) -> Result<()> {
        self.lease.map_or(Ok(()), Lease::check)
    }

    /// An error unless the definition may be worked on now, in the transaction of the re-check.
    pub(crate) async fn guard(&self, tx: &mut Tx) -> Result<()> {
        let Some(lease) = self.lease else { return Ok(()) };
        match lease.guard(tx).await? {
            State::Active => Ok(()),
            State::Observe if self.by_hand => Ok(()),
            _ => Err(Error::new(ErrorKind::Paused, "paused or stopped").for_definition(self.consumer)),
        }
    }

    /// Rows that the next statement may touch at most; `None` is no limit.
    ///
    /// # Errors
    /// When none is left.
    pub(super) fn most_rows(&self) -> Result<Option<usize>> {
        let Some(budget) = self.budget.filter(|b| b.limited) else { return Ok(None) };
        match usize::try_from(budget.left.load(Ordering::Relaxed)).unwrap_or(usize::MAX) {
            0 => {
                let error = Error::new(ErrorKind::TimedOut, "as many rows as were allowed are changed");
                Err(error.for_definition(self.consumer))
            }
            left => Ok(Some(left)),
        }
    }

    /// Counts rows that were changed.
    pub(super) fn spent(&self, rows: u64) {
        let Some(budget) = self.budget else { return };
        budget.done.fetch_add(rows, Ordering::Relaxed);
        if budget.limited {
            // Statements of one repair follow one another, so nobody else takes from it in between.
            let left = budget.left.load(Ordering::Relaxed).saturating_sub(rows);
            budget.left.store(left, Ordering::Relaxed);
        }
    }
}
