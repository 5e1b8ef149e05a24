//! How the next page of a leaf is read, and how large it is. Pure decisions, fed with what was measured.
//!
//! Two ways lead through an index: reading its entries in chunks, which costs by the row, and stepping from key to key, which
//! costs by the key. Statistics choose the first; then time does, because the number of distinct keys in them can be far off.

use std::time::Duration;

/// How a page is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The next entries of the index.
    Entries,
    /// The next keys, a step of the index each.
    Skip,
    /// The next rows in the order of the leaf's own key.
    Rows,
}

/// What the statistics say of a leaf.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Statistics {
    /// Rows a key; `None` is unknown.
    pub(crate) fan_out: Option<f64>,
    /// The share of pages that an index need not look behind.
    pub(crate) visible: f64,
}

/// Microseconds of a step to the next key.
const STEP: f64 = 3.0;
/// Microseconds of an index entry, and what is added when its row has to be looked at.
const ENTRY: f64 = 0.05;
const HIDDEN_ENTRY: f64 = 1.7;
/// After so many pages the other way is tried once.
const PROBE_EVERY: u32 = 16;
/// Entries of a page that arrive as numbers, at most: 1.2 MB.
const MOST_NUMBERS: i64 = 100_000;
/// The weight of the newest page.
const NEWEST: f64 = 0.3;

/// The pace in one leaf.
#[derive(Debug, Clone)]
pub(crate) struct Pacer {
    target: Duration,
    form: Form,
    /// Whether both ways through the index are open.
    both: bool,
    entries: Way,
    skip: Way,
    /// Microseconds that an index entry was estimated to take.
    entry: f64,
    pages: u32,
}

/// What is known of one way.
#[derive(Debug, Clone, Copy)]
struct Way {
    /// Microseconds a key, as far as only the ratio of both matters.
    cost: f64,
    measured: bool,
    size: i64,
    least: i64,
    most: i64,
}

impl Pacer {
    /// The pace for a leaf with an index; `may_skip`: keys may be found without reading their rows.
    pub(crate) fn through_index(target: Duration, statistics: Statistics, may_skip: bool) -> Self {
        let entry = ENTRY + HIDDEN_ENTRY * (1.0 - statistics.visible.clamp(0.0, 1.0));
        let entries = statistics.fan_out.unwrap_or(1.0).max(1.0) * entry;
        let form = if may_skip && entries > STEP { Form::Skip } else { Form::Entries };
        Self { form, both: may_skip, entry, ..Self::new(target, entries) }
    }

    /// Whose entries are so cheap, because they arrive as numbers, that larger pages are worth their while.
    pub(crate) fn of_numbers(mut self) -> Self {
        self.entries.most = MOST_NUMBERS;
        self
    }

    /// The pace for a leaf that is read by its own key.
    pub(crate) fn by_rows(target: Duration) -> Self {
        Self { form: Form::Rows, both: false, ..Self::new(target, 1.0) }
    }

    fn new(target: Duration, entries: f64) -> Self {
        let way = |cost, size, least, most| Way { cost, measured: false, size, least, most };
        Self {
            target,
            form: Form::Entries,
            both: false,
            entries: way(entries, 5_000, 100, 20_000),
            skip: way(STEP, 1_000, 50, 5_000),
            entry: ENTRY,
            pages: 0,
        }
    }

    /// How the next page is read, and its limit: of rows, or of keys when it skips.
    pub(crate) fn next(&self) -> (Form, i64) {
        let probes = self.both && self.pages % PROBE_EVERY == PROBE_EVERY - 1;
        let form = match self.form {
            Form::Entries if probes => Form::Skip,
            Form::Skip if probes => Form::Entries,
            form => form,
        };
        (form, self.way(form).size)
    }

    /// A page was read: so many distinct keys in this time.
    pub(crate) fn took(&mut self, form: Form, keys: usize, elapsed: Duration) {
        self.pages = self.pages.wrapping_add(1);
        let target = self.target;
        let known = self.way(form).measured;
        let per_key = elapsed.as_secs_f64() * 1e6 / f64::from(u32::try_from(keys.max(1)).unwrap_or(u32::MAX));
        let slowness = self.slowness(form, per_key, elapsed);
        let way = self.way_mut(form);
        way.cost = if known { way.cost + NEWEST * (per_key - way.cost) } else { per_key };
        way.measured = true;
        if elapsed > target {
            way.size = (way.size / 2).max(way.least);
        } else if elapsed * 2 < target {
            way.size = (way.size + way.size / 2).min(way.most);
        }
        if !self.both {
            return;
        }
        let other = if form == Form::Skip { &mut self.entries } else { &mut self.skip };
        if !known && !other.measured {
            // This machine is so much slower or faster than the one of the estimate, for either way.
            other.cost *= slowness;
        }
        self.form = if self.entries.cost > self.skip.cost { Form::Skip } else { Form::Entries };
    }

    /// How much longer than estimated an entry or a step took. Not a key: that would take wrong statistics for a slow machine.
    fn slowness(&self, form: Form, per_key: f64, elapsed: Duration) -> f64 {
        if form == Form::Skip {
            return per_key / STEP;
        }
        let entries = f64::from(u32::try_from(self.way(form).size).unwrap_or(u32::MAX));
        elapsed.as_secs_f64() * 1e6 / entries.max(1.0) / self.entry
    }

    /// A page ran into its timeout. False: it cannot be made smaller.
    pub(crate) fn timed_out(&mut self, form: Form) -> bool {
        let way = self.way_mut(form);
        let smaller = (way.size / 4).max(1);
        let shrinks = smaller < way.size;
        (way.size, way.least) = (smaller, way.least.min(smaller));
        shrinks
    }

    fn way(&self, form: Form) -> &Way {
        if form == Form::Skip { &self.skip } else { &self.entries }
    }

    fn way_mut(&mut self, form: Form) -> &mut Way {
        if form == Form::Skip { &mut self.skip } else { &mut self.entries }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TARGET: Duration = Duration::from_millis(100);

    fn form(fan_out: f64, visible: f64) -> Form {
        Pacer::through_index(TARGET, Statistics { fan_out: Some(fan_out), visible }, true).next().0
    }

    #[test]
    fn statistics_choose_by_fan_out_and_visibility() {
        // f * (0.05 + 1.7 * (1 - v)) > 3
        assert_eq!(form(1.0, 1.0), Form::Entries);
        assert_eq!(form(50.0, 1.0), Form::Entries);
        assert_eq!(form(61.0, 1.0), Form::Skip);
        assert_eq!(form(1.0, 0.0), Form::Entries);
        assert_eq!(form(2.0, 0.0), Form::Skip);
    }

    #[test]
    fn measured_time_goes_before_statistics() {
        let mut pacer = Pacer::through_index(TARGET, Statistics { fan_out: Some(1.0), visible: 1.0 }, true);
        // Five thousand entries hold one key: the statistics were wrong by far.
        pacer.took(Form::Entries, 1, Duration::from_micros(500));
        assert_eq!(pacer.next().0, Form::Skip);
        pacer.took(Form::Skip, 1_000, Duration::from_millis(3));
        assert_eq!(pacer.next().0, Form::Skip);
    }

    #[test]
    fn the_other_way_is_tried_again_now_and_then() {
        let mut pacer = Pacer::through_index(TARGET, Statistics { fan_out: Some(1.0), visible: 1.0 }, true);
        let mut forms = Vec::new();
        for _ in 0..32 {
            let (form, _) = pacer.next();
            forms.push(form);
            let each = if form == Form::Skip { 3 } else { 1 };
            pacer.took(form, 1_000, Duration::from_millis(each));
        }
        assert_eq!(forms.iter().filter(|f| **f == Form::Skip).count(), 2, "{forms:?}");
    }

    #[test]
    fn where_rows_decide_nothing_is_skipped() {
        let mut pacer = Pacer::through_index(TARGET, Statistics { fan_out: Some(1e6), visible: 1.0 }, false);
        for _ in 0..40 {
            assert_eq!(pacer.next().0, Form::Entries);
            pacer.took(Form::Entries, 1, Duration::from_millis(50));
        }
    }

    #[test]
    fn pages_grow_and_shrink_towards_the_target_inside_their_bounds() {
        let mut pacer = Pacer::by_rows(TARGET);
        for _ in 0..20 {
            pacer.took(Form::Rows, 10, Duration::from_millis(1));
        }
        assert_eq!(pacer.next(), (Form::Rows, 20_000));
        pacer.took(Form::Rows, 10, Duration::from_millis(101));
        assert_eq!(pacer.next().1, 10_000);
        while pacer.timed_out(Form::Rows) {}
        assert_eq!(pacer.next().1, 1);
    }
}
