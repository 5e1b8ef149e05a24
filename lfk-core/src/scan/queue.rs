//! Pages whose suspects wait for their second look, in the order in which they were read. Pure.
//!
//! A page counts when all of its suspects are decided, and only after every page before it: so a stored position always
//! stands for exactly the counts beside it, and whoever goes on from there neither misses a key nor counts one twice.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::walk::Place;
use crate::key::Key;

/// A page, or several without suspects.
#[derive(Debug)]
pub(super) struct Unit {
    pub(super) after: Place,
    pub(super) checked: u64,
    pub(super) suspects: Vec<Key>,
    /// Every transaction up to this has to end first.
    pub(super) barrier: u64,
    pub(super) seen: Instant,
}

/// Pages in their order.
#[derive(Debug, Default)]
pub(super) struct Queue {
    units: VecDeque<Unit>,
    suspects: usize,
}

impl Queue {
    pub(super) fn push(&mut self, unit: Unit) {
        self.suspects += unit.suspects.len();
        if let Some(last) = self.units.back_mut().filter(|last| last.suspects.is_empty() && unit.suspects.is_empty()) {
            last.after = unit.after;
            last.checked += unit.checked;
            return;
        }
        self.units.push_back(unit);
    }

    /// Suspects that wait.
    pub(super) fn suspects(&self) -> usize {
        self.suspects
    }

    /// Where the walk has come to.
    pub(super) fn last_place(&self) -> Option<&Place> {
        self.units.back().map(|unit| &unit.after)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.units.is_empty()
    }

    /// When the settle time of the last suspect is over.
    pub(super) fn settled_in(&self, settle: Duration) -> Duration {
        let seen = self.units.iter().rev().find(|unit| !unit.suspects.is_empty()).map(|unit| unit.seen);
        seen.map_or(Duration::ZERO, |seen| settle.saturating_sub(seen.elapsed()))
    }

    /// Takes the pages at the front that can be decided, `oldest` being the oldest transaction that still runs.
    pub(super) fn ready(&mut self, oldest: u64, settle: Duration) -> Vec<Unit> {
        let mut ready = Vec::new();
        while let Some(unit) = self.units.front() {
            if !unit.suspects.is_empty() && (unit.barrier >= oldest || unit.seen.elapsed() < settle) {
                break;
            }
            ready.extend(self.units.pop_front());
        }
        self.suspects = self.units.iter().map(|unit| unit.suspects.len()).sum();
        ready
    }

    /// Takes everything.
    pub(super) fn rest(&mut self) -> Vec<Unit> {
        self.suspects = 0;
        self.units.drain(..).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(leaf: usize, suspects: usize, barrier: u64) -> Unit {
        let suspects = (0..suspects).map(|n| Key(vec![n.to_string()])).collect();
        Unit { after: Place { leaf, behind: None }, checked: 10, suspects, barrier, seen: Instant::now() }
    }

    fn places(units: &[Unit]) -> Vec<usize> {
        units.iter().map(|unit| unit.after.leaf).collect()
    }

    #[test]
    fn no_page_counts_before_those_in_front_of_it() {
        let mut queue = Queue::default();
        queue.push(unit(1, 0, 0));
        queue.push(unit(2, 1, 7));
        queue.push(unit(3, 0, 0));
        queue.push(unit(4, 0, 0));
        queue.push(unit(5, 2, 9));
        assert_eq!(queue.suspects(), 3);
        // 7 itself may still run.
        assert_eq!(places(&queue.ready(7, Duration::ZERO)), [1]);
        assert_eq!(places(&queue.ready(8, Duration::ZERO)), [2, 4]);
        assert_eq!(queue.suspects(), 2);
        assert_eq!(places(&queue.ready(10, Duration::from_secs(3600))), [0; 0]);
        assert_eq!(places(&queue.rest()), [5]);
        assert!(queue.is_empty());
    }

    #[test]
    fn pages_without_suspects_are_kept_as_one() {
        let mut queue = Queue::default();
        (1..=1000).for_each(|n| queue.push(unit(n, 0, 0)));
        let ready = queue.ready(0, Duration::ZERO);
        assert_eq!(places(&ready), [1000]);
        assert_eq!(ready[0].checked, 10_000);
    }
}
