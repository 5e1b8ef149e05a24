//! What has been read of a window and not yet worked on. Pure bookkeeping: the cursor row is the truth.

use std::collections::VecDeque;

use crate::key::Key;

/// A place in the key log: a transaction and the order inside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Position {
    pub(crate) xid: u64,
    pub(crate) id: i64,
}

/// What a log row says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Entry {
    /// Keys to look at.
    Keys(Vec<Key>),
    /// A TRUNCATE, or key columns that no longer fit: keys are not known, a sweep has to find the orphans.
    Marker,
    /// Written by a newer version: left in place.
    Unknown,
}

impl Entry {
    /// Keys that the row holds.
    pub(crate) fn key_count(&self) -> usize {
        if let Self::Keys(keys) = self { keys.len() } else { 0 }
    }
}

/// A log row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogRow {
    pub(crate) at: Position,
    pub(crate) entry: Entry,
}

/// What comes next in a window.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Keys, at most as many as asked for.
    Keys(Vec<Key>),
    /// The window is blocked here until a sweep.
    Marker(Position),
    /// The window is blocked here until a newer version reads it.
    Unknown,
    /// Everything that was read has been handed out.
    Empty,
}

/// The rows of a page, handed out in batches.
#[derive(Debug, Default)]
pub(crate) struct Buffer {
    rows: VecDeque<LogRow>,
    /// Keys of the front row that were handed out before.
    taken: usize,
    /// The last row whose keys were all handed out.
    behind: Option<Position>,
    last_read: Option<Position>,
}

/// A page that does not rise: the server broke the order that the protocol relies on.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OutOfOrder;

impl Buffer {
    /// Takes a page. SQL promises no order without a sort over every range, so the order is asserted here, before any
    /// row is taken.
    pub(crate) fn push_page(&mut self, page: Vec<LogRow>) -> Result<(), OutOfOrder> {
        let mut last_read = self.last_read;
        for row in &page {
            if last_read.replace(row.at).is_some_and(|last| row.at <= last) {
                return Err(OutOfOrder);
            }
        }
        self.last_read = last_read;
        self.rows.extend(page);
        Ok(())
    }

    /// Hands out the next keys. Stops in front of anything that is not keys.
    pub(crate) fn take(&mut self, limit: usize) -> Next {
        let keys = self.peek(limit);
        self.pass(keys.len());
        match self.rows.front() {
            _ if !keys.is_empty() => Next::Keys(keys),
            None => Next::Empty,
            Some(front) if front.entry == Entry::Marker => Next::Marker(front.at),
            Some(_) => Next::Unknown,
        }
    }

    /// The keys that would be handed out next.
    pub(crate) fn peek(&self, limit: usize) -> Vec<Key> {
        let mut keys = Vec::new();
        let mut taken = self.taken;
        for row in &self.rows {
            let Entry::Keys(all) = &row.entry else { break };
            let room = limit.max(1) - keys.len();
            keys.extend(all.iter().skip(taken).take(room).cloned());
            taken = 0;
            if keys.len() >= limit.max(1) {
                break;
            }
        }
        keys
    }

    /// Passes over so many keys, and over rows that have none left.
    fn pass(&mut self, mut keys: usize) {
        while let Some(LogRow { at, entry: Entry::Keys(all) }) = self.rows.front() {
            let left = all.len() - self.taken;
            if keys < left {
                self.taken += keys;
                return;
            }
            keys -= left;
            self.behind = Some(*at);
            self.taken = 0;
            self.rows.pop_front();
        }
    }

    /// Whether a batch of so many keys would be full, or ends in front of something that is not keys.
    pub(crate) fn fills(&self, batch: usize) -> bool {
        // The keys of the front row that were handed out count as missing.
        let mut missing = batch.max(1) + self.taken;
        for row in &self.rows {
            let Entry::Keys(keys) = &row.entry else { return true };
            if keys.len() >= missing {
                return true;
            }
            missing -= keys.len();
        }
        false
    }

    /// Passes over the front row, whatever it is.
    pub(crate) fn skip_row(&mut self) {
        if let Some(row) = self.rows.pop_front() {
            self.behind = Some(row.at);
            self.taken = 0;
        }
    }

    /// Whether keys of the front row were handed out and others were not: stopping here repeats them.
    pub(crate) fn is_inside_a_row(&self) -> bool {
        self.taken > 0
    }

    /// The last row that was read: the next page begins behind it.
    pub(crate) fn last_read(&self) -> Option<Position> {
        self.last_read
    }

    /// Where the cursor may stand once everything that was handed out is done: never inside a row.
    pub(crate) fn done_up_to(&self) -> Option<Position> {
        self.behind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(from: u32, to: u32) -> Vec<Key> {
        (from..=to).map(|n| Key(vec![n.to_string()])).collect()
    }

    fn row(xid: u64, id: i64, entry: Entry) -> LogRow {
        LogRow { at: Position { xid, id }, entry }
    }

    #[test]
    fn a_row_larger_than_a_batch_is_handed_out_in_parts_and_acknowledged_at_its_end() {
        let mut buffer = Buffer::default();
        buffer.push_page(vec![row(5, 1, Entry::Keys(keys(1, 5))), row(5, 2, Entry::Keys(keys(6, 6)))]).unwrap();
        assert_eq!(buffer.take(3), Next::Keys(keys(1, 3)));
        assert_eq!(buffer.done_up_to(), None);
        assert!(buffer.is_inside_a_row());
        assert_eq!(buffer.peek(3), keys(4, 6));
        assert_eq!(buffer.peek(2), keys(4, 5));
        assert_eq!(buffer.take(3), Next::Keys(keys(4, 6)));
        assert!(!buffer.is_inside_a_row());
        assert_eq!(buffer.done_up_to(), Some(Position { xid: 5, id: 2 }));
        assert_eq!(buffer.take(3), Next::Empty);
    }

    #[test]
    fn a_marker_is_never_passed_and_what_came_before_is_done_first() {
        let mut buffer = Buffer::default();
        let page =
            vec![row(5, 1, Entry::Keys(keys(1, 1))), row(5, 2, Entry::Marker), row(6, 1, Entry::Keys(keys(2, 2)))];
        buffer.push_page(page).unwrap();
        assert_eq!(buffer.take(10), Next::Keys(keys(1, 1)));
        assert_eq!(buffer.take(10), Next::Marker(Position { xid: 5, id: 2 }));
        assert_eq!(buffer.take(10), Next::Marker(Position { xid: 5, id: 2 }));
        assert_eq!(buffer.done_up_to(), Some(Position { xid: 5, id: 1 }));
    }

    #[test]
    fn a_batch_is_full_with_its_keys_or_with_a_marker_behind_them() {
        let mut buffer = Buffer::default();
        assert!(!buffer.fills(1));
        buffer.push_page(vec![row(5, 1, Entry::Keys(keys(1, 5))), row(5, 2, Entry::Keys(keys(6, 6)))]).unwrap();
        assert!(buffer.fills(6) && !buffer.fills(7));
        buffer.take(3);
        assert!(buffer.fills(3) && !buffer.fills(4));
        buffer.push_page(vec![row(5, 3, Entry::Marker)]).unwrap();
        assert!(buffer.fills(4));
    }

    #[test]
    fn a_page_out_of_order_is_noticed_within_and_between_pages() {
        let mut buffer = Buffer::default();
        buffer.push_page(vec![row(5, 2, Entry::Marker)]).unwrap();
        assert_eq!(buffer.push_page(vec![row(5, 2, Entry::Marker)]), Err(OutOfOrder));
        let page = vec![row(6, 2, Entry::Keys(keys(1, 1))), row(6, 1, Entry::Marker)];
        assert_eq!(buffer.push_page(page), Err(OutOfOrder));
        assert_eq!(buffer.last_read(), Some(Position { xid: 5, id: 2 }));
    }

    #[test]
    fn an_empty_row_is_passed_over() {
        let mut buffer = Buffer::default();
        buffer.push_page(vec![row(5, 1, Entry::Keys(vec![])), row(6, 1, Entry::Keys(keys(1, 1)))]).unwrap();
        assert_eq!(buffer.take(5), Next::Keys(keys(1, 1)));
        assert_eq!(buffer.done_up_to(), Some(Position { xid: 6, id: 1 }));
    }
}
