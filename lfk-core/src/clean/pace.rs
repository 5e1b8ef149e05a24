//! How many keys a batch has and which form its statements take. Pure decisions, fed with what was measured.
//!
//! The size grows and shrinks with the time that statements take (it doubles until the first one that is slow; from then on
//! a quarter more, or half), inside hard bounds. Rows a statement may touch are bounded through the fan-out,
//! which is learned; while it is unknown or high, the capped form bounds them exactly. Beside others who are at work in the
//! server, statements are short (`duty.rs` says who is there).

use std::time::Duration;

use super::shape::Form;
use crate::duty::Room;

/// Keys of a batch at least: below this, round trips are all there is.
const MIN_KEYS: usize = 10;
/// Keys of a batch at most.
const MAX_KEYS: usize = 10_000;
/// The first batch of a consumer.
const FIRST_KEYS: usize = 500;
/// Keys added after a batch that stayed well below the target, at least.
const STEP_KEYS: usize = 250;
/// The share of a batch that is added, if it is more: what took less than half of the time takes less than two thirds of it then.
const STEP_SHARE: usize = 4;
/// Rows one statement may be expected to touch: the children of 10,000 keys where each has five. Where these lie in no order, a
/// statement for many keys visits fewer pages twice than several for a few at a time. Time is the narrower bound where rows
/// are dear: see `took`.
const MAX_ROWS: usize = 50_000;
/// Rows the capped form touches at most: it stands for keys of which little is known yet, or that are wide.
const MAX_CAP: usize = 10_000;
/// Rows that the capped form, and a slice of a list, take to begin with.
const FIRST_CAP: usize = 2_000;
/// Rows of a list at first. It also shows how the others lie.
const FIRST_LIST: usize = 25_000;
/// Rows of a list at most: six megabytes, and one walk over the emptied front of the index for many slices.
const MAX_LIST: usize = 1_000_000;
/// How much longer the next list is after one that did not take long: each walks over what those before it have emptied.
const LONGER: usize = 4;
/// Rows of a list at least.
const MIN_LIST: usize = 1_000;
/// What a statement should take beside others, at most: about as long as a few of theirs.
const SHORT: Duration = Duration::from_millis(5);
/// Keys, and rows, that are few enough beside others, too: when they take long, it is not for their number. Where each commit waits for
/// a standby far away, fewer and fewer of them would never come to an end.
const FEW_KEYS: usize = 100;
const FEW_ROWS: usize = 500;
/// A weight of a fifth for the newest batch: a few batches decide, one does not.
const NEWEST: f64 = 0.2;

/// The pace of one consumer in one process. Lost with it, and learned again.
#[derive(Debug, Clone)]
pub struct Pace {
    target: Duration,
    room: Room,
    keys: usize,
    /// A statement was slow: the size is near its best, and is approached in small steps.
    near: bool,
    /// The batch at work has few keys: that it is quick says nothing about a larger one.
    small: bool,
    cap: usize,
    /// Rows of a wide parent for one statement.
    slice: usize,
    /// Rows of a wide parent that are listed at once.
    list: usize,
    /// Rows per key, as learned.
    fan_out: Option<f64>,
}

impl Pace {
    pub(crate) fn new(target: Duration) -> Self {
        Self {
            target,
            room: Room::Alone,
            keys: FIRST_KEYS,
            near: false,
            small: false,
            cap: FIRST_CAP,
            slice: FIRST_CAP,
            list: FIRST_LIST,
            fan_out: None,
        }
    }

    /// So much room there is from now on. Where it becomes less, or more, sizes begin anew: to come down by halves would take
    /// several statements that are too long, and to come up by quarters a minute.
    pub(crate) fn has(&mut self, room: Room) {
        match (std::mem::replace(&mut self.room, room), room) {
            (Room::Shared, Room::Alone) => self.near = false,
            (Room::Alone, Room::Shared) => {
                self.keys = self.keys.min(FIRST_KEYS);
                self.cap = self.cap.min(FIRST_CAP);
                self.slice = self.slice.min(FIRST_CAP);
            }
            _ => {}
        }
    }

    /// What a statement should take at most.
    fn target(&self) -> Duration {
        if self.room == Room::Shared { self.target.min(SHORT) } else { self.target }
    }

    /// Keys for the next batch.
    pub(crate) fn keys(&self) -> usize {
        let most_rows = if self.room == Room::Shared { MAX_CAP } else { MAX_ROWS };
        let by_rows = self.fan_out.map_or(self.keys, |f| whole(most_rows, f.max(0.01)));
        self.keys.min(by_rows).clamp(1, MAX_KEYS)
    }

    /// The form for the next batch: capped while the fan-out is unknown, or so high that one key is too many rows.
    pub(crate) fn form(&self) -> Form {
        match self.fan_out {
            Some(fan_out) if whole(MAX_CAP, fan_out.max(0.01)) >= 1 => Form::Whole,
            _ => Form::Capped,
        }
    }

    /// Rows for the next capped statement.
    pub(crate) fn cap(&self) -> usize {
        self.cap
    }

    /// Rows of a list for the next statement; or about as many as the pages may have that it walks through.
    pub(crate) fn slice(&self) -> usize {
        self.slice
    }

    /// Rows of a wide parent to list.
    pub(crate) fn list(&self) -> i64 {
        // Beside others a turn does not come to more of them.
        let most = if self.room == Room::Shared { self.slice.max(FIRST_CAP) * 32 } else { usize::MAX };
        i64::try_from(self.list.min(most)).unwrap_or(i64::MAX)
    }

    /// A list was read. It changes nothing and locks nothing, so it may take a few times as long as a statement that does.
    pub(crate) fn listed(&mut self, elapsed: Duration) {
        if elapsed > self.target * 10 {
            self.list = (self.list / 2).max(MIN_LIST);
        } else if elapsed < self.target * 3 {
            self.list = (self.list * LONGER).min(MAX_LIST);
        }
    }

    /// Keys of a batch of so many that are worked on together: all of them, unless others have come to work since it was made.
    pub(crate) fn piece(&self, keys: usize) -> usize {
        let shared = self.room == Room::Shared;
        if shared && keys > self.keys() * 2 { self.keys() } else { keys.max(1) }
    }

    /// A batch of so many keys begins.
    pub(crate) fn begins(&mut self, keys: usize) {
        self.small = keys < self.keys() / 2;
    }

    /// A statement was done.
    pub(crate) fn took(&mut self, form: Form, rows: u64, elapsed: Duration) {
        let (size, few) = match form {
            Form::Whole => (self.keys, FEW_KEYS),
            Form::Capped => (self.cap, FEW_ROWS),
            Form::Listed | Form::Within => (self.slice, FEW_ROWS),
        };
        let slow = elapsed > self.target || (elapsed > self.target() && size > few);
        let quick = elapsed * 2 < self.target();
        match form {
            Form::Whole if slow => self.shrink(),
            Form::Whole if quick && !self.small => {
                let step = if self.near { STEP_KEYS.max(self.keys / STEP_SHARE) } else { self.keys };
                self.keys = (self.keys + step).min(MAX_KEYS);
            }
            Form::Capped if slow => self.cap = (self.cap / 2).max(1),
            // Only a statement that was full says that a larger one would be quick too.
            Form::Capped if quick && rows >= self.cap as u64 => self.cap = (self.cap + FIRST_CAP).min(MAX_CAP),
            Form::Listed | Form::Within if slow => self.slice = (self.slice / 2).max(1),
            Form::Listed if quick && rows >= self.slice as u64 => self.slice = (self.slice * 2).min(MAX_ROWS),
            // How many rows lie in some pages is not known before.
            Form::Within if quick && rows >= self.slice as u64 / 2 => self.slice = (self.slice * 2).min(MAX_ROWS),
            _ => {}
        }
    }

    /// A batch is done: so many keys had no parent, so many rows went with them.
    pub(crate) fn learned(&mut self, keys: usize, rows: u64) {
        if keys == 0 {
            return;
        }
        let newest = ratio(rows, keys);
        self.fan_out = Some(self.fan_out.map_or(newest, |old| old + NEWEST * (newest - old)));
    }

    /// Whether so many keys should have had children: none at all is then worth a second look.
    pub(crate) fn expects_rows(&self, keys: usize) -> bool {
        self.fan_out.is_some_and(|fan_out| whole(keys, 1.0 / fan_out.max(1e-6)) >= 1)
    }

    /// A statement ran into its timeout.
    pub(crate) fn timed_out(&mut self) {
        self.shrink();
        self.cap = (self.cap / 2).max(1);
        self.slice = (self.slice / 2).max(1);
    }

    /// A statement for a wide parent ran into its timeout, whichever it was. Answers whether the next ones are smaller.
    pub(crate) fn wide_timed_out(&mut self) -> bool {
        let before = (self.cap, self.slice, self.list);
        self.cap = (self.cap / 2).max(1);
        self.slice = (self.slice / 2).max(1);
        self.list = (self.list / 2).max(MIN_LIST);
        (self.cap, self.slice, self.list) != before
    }

    fn shrink(&mut self) {
        self.keys = (self.keys / 2).max(MIN_KEYS);
        self.near = true;
    }
}

#[expect(clippy::cast_precision_loss, reason = "a learned mean needs no more than 52 bits")]
fn ratio(rows: u64, keys: usize) -> f64 {
    rows as f64 / keys as f64
}

#[expect(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "both are positive and small; a cast from a float saturates"
)]
fn whole(rows: usize, fan_out: f64) -> usize {
    (rows as f64 / fan_out) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Duration = Duration::from_millis(100);

    #[test]
    fn beside_others_statements_are_short_and_become_long_again_when_they_are_gone() {
        let mut pace = Pace::new(TARGET);
        pace.has(Room::Alone);
        let quick = Duration::from_millis(10);
        for _ in 0..3 {
            pace.took(Form::Whole, 1, quick);
            pace.took(Form::Listed, pace.slice() as u64, quick);
        }
        assert_eq!((pace.keys(), pace.slice()), (8 * FIRST_KEYS, 8 * FIRST_CAP));
        pace.has(Room::Shared);
        assert_eq!((pace.keys(), pace.slice()), (FIRST_KEYS, FIRST_CAP));
        assert_eq!((pace.piece(8 * FIRST_KEYS), pace.piece(2 * FIRST_KEYS)), (FIRST_KEYS, 2 * FIRST_KEYS));
        pace.took(Form::Whole, 1, quick);
        pace.has(Room::Shared);
        assert_eq!(pace.keys(), FIRST_KEYS / 2);
        pace.has(Room::Alone);
        pace.took(Form::Whole, 1, quick);
        assert_eq!(pace.keys(), FIRST_KEYS);
        pace.learned(10, 1_000);
        assert_eq!(pace.keys(), MAX_ROWS / 100);
        pace.has(Room::Shared);
        assert_eq!(pace.keys(), MAX_CAP / 100);
    }

    #[test]
    fn beside_others_what_takes_long_however_small_it_is_does_not_become_smaller_and_smaller() {
        let mut pace = Pace::new(TARGET);
        pace.has(Room::Shared);
        for _ in 0..20 {
            for form in [Form::Whole, Form::Capped, Form::Listed] {
                pace.took(form, 1, Duration::from_millis(20));
            }
        }
        assert_eq!((pace.keys(), pace.cap(), pace.slice()), (62, 500, 500));
        // Unless it takes as long as nothing may.
        pace.took(Form::Listed, 1, Duration::from_millis(101));
        assert_eq!(pace.slice(), 250);
    }

    #[test]
    fn until_the_fan_out_is_known_rows_are_capped() {
        let mut pace = Pace::new(TARGET);
        assert_eq!(pace.form(), Form::Capped);
        pace.learned(100, 500);
        assert_eq!(pace.form(), Form::Whole);
        pace.learned(1, 1_000_000);
        assert_eq!(pace.form(), Form::Capped);
    }

    #[test]
    fn rows_are_expected_once_keys_are_known_to_have_children() {
        let mut pace = Pace::new(TARGET);
        assert!(!pace.expects_rows(1000));
        pace.learned(100, 50);
        assert!(pace.expects_rows(2));
        assert!(!pace.expects_rows(1));
    }

    #[test]
    fn a_high_fan_out_means_few_keys() {
        let mut pace = Pace::new(TARGET);
        pace.learned(10, 10_000);
        assert_eq!(pace.keys(), MAX_ROWS / 1000);
    }

    #[test]
    fn slow_statements_halve_and_quick_ones_add_inside_the_bounds() {
        let mut pace = Pace::new(TARGET);
        pace.learned(100, 0);
        for _ in 0..100 {
            pace.took(Form::Whole, 1, Duration::from_millis(1));
        }
        assert_eq!(pace.keys(), MAX_KEYS);
        pace.took(Form::Whole, 1, Duration::from_millis(101));
        assert_eq!(pace.keys(), MAX_KEYS / 2);
        for _ in 0..100 {
            pace.took(Form::Whole, 1, Duration::from_secs(1));
        }
        assert_eq!(pace.keys(), MIN_KEYS);
    }

    #[test]
    fn the_size_doubles_until_the_first_slow_statement() {
        let mut pace = Pace::new(TARGET);
        pace.took(Form::Whole, 1, Duration::from_millis(1));
        pace.took(Form::Whole, 1, Duration::from_millis(1));
        assert_eq!(pace.keys(), 4 * FIRST_KEYS);
        pace.took(Form::Whole, 1, Duration::from_millis(101));
        pace.took(Form::Whole, 1, Duration::from_millis(1));
        assert_eq!(pace.keys(), 2 * FIRST_KEYS + STEP_KEYS);
    }

    #[test]
    fn a_small_batch_that_was_quick_says_nothing_about_a_larger_one() {
        let mut pace = Pace::new(TARGET);
        pace.begins(3);
        pace.took(Form::Whole, 3, Duration::from_millis(1));
        assert_eq!(pace.keys(), FIRST_KEYS);
        pace.begins(FIRST_KEYS);
        pace.took(Form::Whole, 3, Duration::from_millis(1));
        assert_eq!(pace.keys(), 2 * FIRST_KEYS);
    }

    #[test]
    fn what_timed_out_for_a_wide_parent_becomes_smaller_to_the_end() {
        let mut pace = Pace::new(TARGET);
        pace.listed(TARGET);
        let mut before = (pace.cap(), pace.slice(), pace.list());
        assert_eq!(before.2, 100_000);
        while pace.wide_timed_out() {
            let now = (pace.cap(), pace.slice(), pace.list());
            assert!(now.0 <= before.0 && now.1 <= before.1 && now.2 <= before.2 && now != before);
            before = now;
        }
        assert_eq!(before, (1, 1, 1_000));
    }

    #[test]
    fn a_capped_statement_that_was_not_full_says_nothing_about_a_larger_one() {
        let mut pace = Pace::new(TARGET);
        pace.took(Form::Capped, 3, Duration::from_millis(1));
        assert_eq!(pace.cap(), FIRST_CAP);
        pace.took(Form::Capped, FIRST_CAP as u64, Duration::from_millis(1));
        assert_eq!(pace.cap(), 2 * FIRST_CAP);
    }
}
