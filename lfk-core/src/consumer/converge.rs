//! What a turn does with keys, whatever kind of definition they belong to.

use std::collections::HashSet;
use std::time::Duration;

use futures::FutureExt as _;
use futures::future::BoxFuture;

use crate::clean::{Foresight, Pace, Tally};
use crate::error::Result;
use crate::key::Key;
use crate::sweep::SweepEnd;

/// Keys to work on.
#[derive(Debug, Default)]
pub struct Batch {
    /// In any order, and perhaps more than once.
    pub keys: Vec<Key>,
    /// Those that were denied something while others of their batch were done: their fault, and no missing right.
    pub denied_before: HashSet<Key>,
    /// Those that a check found to differ.
    pub repairs: HashSet<Key>,
    /// What was seen of them a moment ago, where it was looked ahead.
    pub foresight: Option<Foresight>,
}

impl From<Vec<Key>> for Batch {
    fn from(keys: Vec<Key>) -> Self {
        Self { keys, ..Self::default() }
    }
}

/// Brings the other side to what is true in the database of the log. Idempotent: a crash anywhere repeats a batch, which then
/// finds less or nothing to do. Made anew for each turn.
pub trait Converge: Send + Sync {
    /// Columns of a key.
    fn width(&self) -> usize;

    /// Keys of the next batch at most.
    fn batch(&self, pace: &Pace) -> usize {
        pace.keys()
    }

    /// Works until every key is done or set aside.
    ///
    /// # Errors
    /// What ends the batch: a database that is away, a missing right, a lost lease, a pause. What was committed until then
    /// stays, and the batch is repeated later.
    fn converge<'b>(&'b self, batch: Batch, pace: &'b mut Pace) -> BoxFuture<'b, Result<Tally>>;

    /// Looks at the keys of a batch whose turn comes soon, for [`Batch::foresight`]; nothing where there is nothing to see ahead.
    fn foresee<'b>(&'b self, _keys: Vec<Key>) -> Option<BoxFuture<'b, Result<Foresight>>> {
        None
    }

    /// Whether it looks at keys and does nothing about them: then markers are passed over, which another consumer of the
    /// definition sweeps, and no key leaves quarantine.
    fn only_looks(&self) -> bool {
        false
    }

    /// Does what a marker asks for, whose keys nobody knows, until the end or until `is_over`. Answers the rows that were
    /// changed, too.
    ///
    /// # Errors
    /// As [`Converge::converge`]; the position is stored.
    fn sweep<'b>(&'b self, _is_over: &'b (dyn Fn() -> bool + Send + Sync)) -> BoxFuture<'b, Result<(SweepEnd, u64)>> {
        std::future::ready(Ok((SweepEnd::Done, 0))).boxed()
    }

    /// Work that is not in the log, a share of the turn at most. Answers the rows that were changed; keys that could not be
    /// done are set aside by then.
    ///
    /// # Errors
    /// As [`Converge::converge`].
    fn spare<'b>(&'b self, _pace: &'b mut Pace, _share: Duration) -> BoxFuture<'b, Result<u64>> {
        std::future::ready(Ok(0)).boxed()
    }
}
