//! The part of a turn that is for keys set aside: retries whose time has come.

use std::collections::HashSet;
use std::time::Instant;

use super::{Batch, Converge, Effort, Found, Turn};
use crate::clean::{Pace, Tally};
use crate::cursor::Lease;
use crate::error::Result;
use crate::key::Key;
use crate::points::Point;
use crate::retry::{self, Due, Outcome, SetAside};

/// Retries of a turn at most, so that they cannot crowd out the log. The suspects of a sweep are among them.
const RETRIES_A_TURN: i64 = 2_000;

impl Turn<'_> {
    /// Converges keys of the log. One that is in quarantine, was in the log once more and was done this time, leaves it: its
    /// children are gone, or its parent is back.
    pub(super) async fn converge_logged(
        &self,
        lease: &Lease,
        doer: &dyn Converge,
        found: Found,
        batch: Batch,
        pace: &mut Pace,
    ) -> Result<Tally> {
        if !found.quarantine || doer.only_looks() {
            return doer.converge(batch, pace).await;
        }
        let keys = batch.keys.clone();
        let tally = doer.converge(batch, pace).await?;
        retry::leave_quarantine(lease, &all_but(keys, &tally.set_aside)).await?;
        Ok(tally)
    }

    /// Tries keys again whose time has come. Answers whether the definition has keys in quarantine.
    pub(super) async fn retry_due(
        &self,
        lease: &Lease,
        doer: &dyn Converge,
        pace: &mut Pace,
        effort: &mut Effort,
    ) -> Result<bool> {
        let Due { keys, denied_before, repairs, quarantine } = retry::due(lease, RETRIES_A_TURN, self.policy).await?;
        if keys.is_empty() {
            return Ok(quarantine);
        }
        let began = Instant::now();
        let tally = doer.converge(Batch { keys: keys.clone(), denied_before, repairs, foresight: None }, pace).await?;
        effort.rows += tally.rows;
        self.pass(Point::RetriesDone).await?;
        let quarantine = quarantine || !tally.set_aside.is_empty();
        let outcome = Outcome::of(all_but(keys, &tally.set_aside), tally, began);
        retry::settle(lease, &outcome, self.policy).await?;
        Ok(quarantine)
    }
}

/// The keys that were not set aside.
fn all_but(keys: Vec<Key>, set_aside: &[SetAside]) -> Vec<Key> {
    let failed: HashSet<&Key> = set_aside.iter().map(|one| &one.key).collect();
    keys.into_iter().filter(|key| !failed.contains(key)).collect()
}

impl Outcome {
    pub(super) fn of(done: Vec<Key>, tally: Tally, began: Instant) -> Self {
        let keys = u32::try_from(done.len()).unwrap_or(u32::MAX);
        Self {
            done,
            resurrected: i64::try_from(tally.resurrected).unwrap_or(i64::MAX),
            rows: i64::try_from(tally.rows).unwrap_or(i64::MAX),
            keys_per_second: f64::from(keys) / began.elapsed().as_secs_f64().max(0.001),
            failed: tally.set_aside,
        }
    }
}
