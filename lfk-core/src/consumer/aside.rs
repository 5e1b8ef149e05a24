//! The part of a turn that is for keys set aside: retries whose time has come, and wide parents.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::{Effort, Found, Turn};
use crate::clean::{Class, Cleaner, Pace, Shape, Tally, WideEnd, classify};
use crate::cursor::Lease;
use crate::error::Result;
use crate::key::Key;
use crate::points::Point;
use crate::retry::{self, Due, Outcome, Reason, SetAside};

/// Retries of a turn at most, so that they cannot crowd out the log. The suspects of a sweep are among them.
const RETRIES_A_TURN: i64 = 2_000;

/// The share of a turn that a wide parent gets while other keys wait: a fifth of the quantum.
pub(super) const WIDE_SHARE: Duration = Duration::from_millis(400);
/// The longest that a wide parent is worked on before it is written down how far it came.
const WIDE_AT_MOST: Duration = Duration::from_secs(2);

impl Turn<'_> {
    /// Converges keys of the log. One that is in quarantine, was in the log once more and was done this time, leaves it: its
    /// children are gone, or its parent is back.
    pub(super) async fn converge_logged(
        &self,
        lease: &Lease,
        shape: &Shape,
        found: Found,
        keys: Vec<Key>,
        pace: &mut Pace,
    ) -> Result<Tally> {
        if !found.quarantine {
            return self.converge(lease, shape, keys, pace).await;
        }
        let tally = self.converge(lease, shape, keys.clone(), pace).await?;
        retry::leave_quarantine(lease, &all_but(keys, &tally.set_aside)).await?;
        Ok(tally)
    }

    /// Tries keys again whose time has come. Answers whether the definition has keys in quarantine.
    pub(super) async fn retry_due(
        &self,
        lease: &Lease,
        shape: &Shape,
        pace: &mut Pace,
        effort: &mut Effort,
    ) -> Result<bool> {
        let Due { keys, denied_before, quarantine } = retry::due(lease, RETRIES_A_TURN, self.policy).await?;
        if keys.is_empty() {
            return Ok(quarantine);
        }
        let began = Instant::now();
        let (away, limiter, points, stop) = (self.away, self.limiter, self.points, self.stop);
        let mut cleaner = Cleaner { shape, permit: lease.into(), away, limiter, stop, pace, points, denied_before };
        let tally = cleaner.converge(keys.clone()).await?;
        effort.rows += tally.rows;
        self.pass(Point::RetriesDone).await?;
        let quarantine = quarantine || !tally.set_aside.is_empty();
        let outcome = Outcome::of(all_but(keys, &tally.set_aside), tally, began);
        retry::settle(lease, &outcome, self.policy).await?;
        Ok(quarantine)
    }

    /// Gives the wide parent that has waited longest a share of the time.
    pub(super) async fn clean_wide(
        &self,
        lease: &Lease,
        shape: &Shape,
        pace: &mut Pace,
        effort: &mut Effort,
        budget: Duration,
    ) -> Result<()> {
        let Some(key) = retry::due_wide(lease).await? else { return Ok(()) };
        let (away, limiter, points, stop) = (self.away, self.limiter, self.points, self.stop);
        let began = Instant::now();
        let mut tally = Tally::default();
        let mut cleaner =
            Cleaner { shape, permit: lease.into(), away, limiter, stop, pace, points, denied_before: HashSet::new() };
        let end = match cleaner.clean_wide(&key, budget.min(WIDE_AT_MOST), &mut tally).await {
            Ok(end) => end,
            Err(error) => match classify(&error) {
                Class::Stop | Class::Hold | Class::Block => return Err(error),
                // An ordinary key again: converging it finds out what is the matter with it.
                _ => {
                    tally.set_aside.push(SetAside::new(key.clone(), Reason::TimedOut, Some(&error)));
                    WideEnd::Done
                }
            },
        };
        effort.rows += tally.rows;
        if end == WideEnd::More && tally.set_aside.is_empty() {
            tally.set_aside.push(SetAside::new(key.clone(), Reason::Wide, None));
        }
        let done = if tally.set_aside.is_empty() { vec![key] } else { Vec::new() };
        retry::settle(lease, &Outcome::of(done, tally, began), self.policy).await
    }
}

/// The keys that were not set aside.
fn all_but(keys: Vec<Key>, set_aside: &[SetAside]) -> Vec<Key> {
    let failed: HashSet<&Key> = set_aside.iter().map(|one| &one.key).collect();
    keys.into_iter().filter(|key| !failed.contains(key)).collect()
}

impl Outcome {
    fn of(done: Vec<Key>, tally: Tally, began: Instant) -> Self {
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
