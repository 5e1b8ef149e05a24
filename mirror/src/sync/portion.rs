//! How many rows go at once. Pure decisions, fed with what was read, how long it took, and what took too long.
//!
//! Rows are bounded by the time that they take, by their number, and by the bytes of their values, which this process holds until
//! they are written. What one mirror has learned is kept as long as its engine; losing it costs a few statements.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// Rows of the first page.
const FIRST: usize = 500;
/// Rows of a page at most: enough that round trips and commits are a small part of its time, and few enough that the rows before it
/// can be written while it is read.
const MOST: usize = 4_000;
/// Rows of a page at least, unless they are too wide: below this, round trips are all there is.
pub(super) const LEAST: usize = 10;
/// Rows added after each page that went well, once one took too long or was slow: in small steps, because a page that takes too
/// long costs the length of the timeout.
const STEP: usize = 100;
/// How long the server should take to write a page at most: until its end the rows stay locked for the application.
const TARGET: Duration = Duration::from_millis(100);
/// Reading holds nobody up, and its time has round trips in it: it may take so many times as long.
const READING: u32 = 5;
/// Pages of a batch. All but the first are read while the one before is written, and whether the turn is over is asked after each batch.
const PAGES: usize = 8;
/// Bytes of values that are read before they are written. The row that exceeds it goes, too: so one always goes. Where the next
/// page is read meanwhile, twice as many are held.
pub(crate) const PAGE_BYTES: usize = 8 << 20;

/// How many rows go at once.
#[derive(Debug)]
pub(crate) struct Portion {
    rows: AtomicUsize,
    /// Whether a page was slow: the size is near its best, and is approached in small steps.
    near: AtomicBool,
}

impl Default for Portion {
    fn default() -> Self {
        Self { rows: AtomicUsize::new(FIRST), near: AtomicBool::new(false) }
    }
}

impl Portion {
    pub(super) fn rows(&self) -> usize {
        self.rows.load(Ordering::Relaxed)
    }

    /// Keys of a batch: several pages.
    pub(super) fn keys(&self) -> usize {
        self.rows().saturating_mul(PAGES)
    }

    /// So many keys, whose rows have so many bytes of values, went well. `writing` is without the time on the way: a network that
    /// is slow is no reason for less at once. They may have been cut off before the last ones were learned from, when the page had
    /// another size: each says something of pages of its own size only.
    pub(super) fn took(&self, keys: usize, bytes: usize, reading: Duration, writing: Duration) {
        let rows = self.rows();
        let elapsed = writing.max(reading / READING);
        let next = if elapsed > TARGET && keys >= rows / 2 {
            self.near.store(true, Ordering::Relaxed);
            rows.min((keys / 2).max(LEAST))
        } else if elapsed * 2 > TARGET || keys < rows {
            // That few rows are quick says nothing about more of them; and what made a few slow are not the rows.
            rows
        } else if self.near.load(Ordering::Relaxed) {
            rows + STEP
        } else {
            rows * 2
        };
        let by_bytes = PAGE_BYTES / (bytes / keys.max(1)).max(1);
        self.rows.store(next.min(MOST).min(by_bytes).max(1), Ordering::Relaxed);
    }

    /// So many rows took too long: the next portion is smaller than that.
    pub(super) fn timed_out(&self, rows: usize) {
        self.near.store(true, Ordering::Relaxed);
        let next = (rows / 2).max(LEAST).min(self.rows());
        self.rows.store(next, Ordering::Relaxed);
    }

    /// Whether it cannot become smaller.
    pub(super) fn is_least(&self) -> bool {
        self.rows() <= LEAST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const QUICK: Duration = Duration::from_millis(1);

    #[test]
    fn wide_rows_go_by_their_bytes_and_one_always_goes() {
        let portion = Portion::default();
        portion.took(8, 8 << 20, QUICK, QUICK);
        assert_eq!(portion.rows(), 8);
        portion.took(1, 1 << 30, QUICK, QUICK);
        assert_eq!(portion.rows(), 1);
        for _ in 0..50 {
            portion.took(MOST, 100, QUICK, QUICK);
        }
        assert_eq!(portion.rows(), MOST);
        assert_eq!(portion.keys(), MOST * PAGES);
    }

    #[test]
    fn rows_double_until_a_page_was_slow_and_are_added_slowly_from_then_on() {
        let portion = Portion::default();
        portion.took(FIRST, 100, QUICK, QUICK);
        portion.took(2 * FIRST, 100, QUICK, QUICK);
        assert_eq!(portion.rows(), 4 * FIRST);
        portion.took(4 * FIRST, 100, QUICK, TARGET * 2);
        assert_eq!(portion.rows(), 2 * FIRST);
        portion.took(2 * FIRST, 100, QUICK, QUICK);
        assert_eq!(portion.rows(), 2 * FIRST + STEP);
    }

    #[test]
    fn a_page_of_few_rows_that_was_quick_says_nothing_about_a_larger_one() {
        let portion = Portion::default();
        portion.took(1, 100, QUICK, QUICK);
        portion.took(FIRST, 100, QUICK, TARGET * 3 / 4);
        assert_eq!(portion.rows(), FIRST);
    }

    #[test]
    fn reading_may_take_longer_than_writing() {
        let portion = Portion::default();
        portion.took(FIRST, 100, TARGET, QUICK);
        assert_eq!(portion.rows(), 2 * FIRST);
        portion.took(2 * FIRST, 100, TARGET * (READING + 1), QUICK);
        assert_eq!(portion.rows(), FIRST);
    }

    #[test]
    fn rows_that_are_slow_go_a_few_at_a_time_and_never_more_than_before() {
        let portion = Portion::default();
        for _ in 0..50 {
            portion.took(portion.rows(), 100, QUICK, TARGET * 2);
        }
        assert_eq!(portion.rows(), LEAST);
        portion.took(1, 1 << 30, QUICK, QUICK);
        portion.took(1, 100, QUICK, TARGET * 2);
        assert_eq!(portion.rows(), 1);
    }

    #[test]
    fn a_page_says_something_of_pages_of_its_size_whatever_was_learned_since_it_was_cut_off() {
        let portion = Portion::default();
        portion.took(FIRST, 100, QUICK, QUICK);
        // It was cut off before that was known.
        portion.took(FIRST, 100, QUICK, QUICK);
        assert_eq!(portion.rows(), 2 * FIRST);
        portion.took(2 * FIRST, 100, QUICK, TARGET * 2);
        portion.took(2 * FIRST, 100, QUICK, TARGET * 2);
        assert_eq!(portion.rows(), FIRST, "one slow size halves it once");
        portion.took(FIRST / 10, 100, QUICK, TARGET * 2);
        assert_eq!(portion.rows(), FIRST, "a few rows that are slow are no fault of their number");
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
