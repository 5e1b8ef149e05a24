//! How many rows go at once. Pure decisions, fed with what was read and what took too long.
//!
//! Rows are bounded twice: by their number, and by the bytes of their values, which this process holds until they are written.
//! What one mirror has learned is kept as long as its engine; losing it costs a few statements.

use std::sync::atomic::{AtomicUsize, Ordering};

/// Rows of the first page.
const FIRST: usize = 500;
/// Rows of a page at most.
const MOST: usize = 2_000;
/// Rows of a page at least, unless they are too wide: below this, round trips are all there is.
const LEAST: usize = 10;
/// Rows added after each page that went well: slowly, because a page that takes too long costs the length of the timeout.
const STEP: usize = 100;
/// Bytes of values that are read before they are written. The row that exceeds it goes, too: so one always goes.
pub(crate) const PAGE_BYTES: usize = 8 << 20;

/// How many rows go at once.
#[derive(Debug)]
pub(crate) struct Portion(AtomicUsize);

impl Default for Portion {
    fn default() -> Self {
        Self(AtomicUsize::new(FIRST))
    }
}

impl Portion {
    pub(super) fn rows(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// Rows with so many bytes of values went well.
    pub(super) fn took(&self, rows: usize, bytes: usize) {
        let width = bytes / rows.max(1);
        let by_bytes = PAGE_BYTES / width.max(1);
        let next = (self.rows() + STEP).min(MOST).min(by_bytes).max(1);
        self.0.store(next, Ordering::Relaxed);
    }

    /// So many rows took too long: the next portion is smaller than that.
    pub(super) fn timed_out(&self, rows: usize) {
        let next = (rows / 2).max(LEAST).min(self.rows());
        self.0.store(next, Ordering::Relaxed);
    }

    /// Whether it cannot become smaller.
    pub(super) fn is_least(&self) -> bool {
        self.rows() <= LEAST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_rows_go_by_their_bytes_and_one_always_goes() {
        let portion = Portion::default();
        portion.took(8, 8 << 20);
        assert_eq!(portion.rows(), 8);
        portion.took(1, 1 << 30);
        assert_eq!(portion.rows(), 1);
        for _ in 0..50 {
            portion.took(100, 100);
        }
        assert_eq!(portion.rows(), MOST);
    }

    #[test]
    fn what_took_too_long_is_followed_by_less() {
        let portion = Portion::default();
        portion.timed_out(500);
        assert_eq!(portion.rows(), 250);
        // A smaller one that took too long as well.
        portion.timed_out(100);
        assert_eq!(portion.rows(), 50);
        portion.timed_out(2_000);
        assert_eq!(portion.rows(), 50);
        portion.timed_out(1);
        assert!(portion.is_least());
    }
}
