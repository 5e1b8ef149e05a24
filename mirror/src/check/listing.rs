//! Rows of a chunk as one side lists them, and which keys the two sides do not agree on.

use std::collections::HashMap;

use lfk_core::Result;
use lfk_core::parts::Key;

use super::ahead::{Lot, Part};
use super::ends::{Ends, Range};
use crate::Side;

/// Keys and hashes in the order of the key.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Listing {
    pub(crate) keys: Keys,
    /// One a row. Without it the row does not count.
    pub(crate) hashes: Vec<Option<i64>>,
}

/// The keys of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Keys {
    /// A single integer each, ascending.
    Numbers(Vec<i64>),
    /// A list for each column.
    Texts(Vec<Vec<String>>),
}

impl Default for Keys {
    fn default() -> Self {
        Self::Texts(Vec::new())
    }
}

impl Listing {
    /// The key of one row, as keys travel.
    pub(crate) fn key(&self, at: usize) -> Key {
        match &self.keys {
            Keys::Numbers(keys) => Key(vec![keys[at].to_string()]),
            Keys::Texts(columns) => Key(columns.iter().map(|column| column[at].clone()).collect()),
        }
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = Key> {
        (0..self.len()).map(|at| self.key(at))
    }

    pub(crate) fn last(&self) -> Option<Key> {
        self.len().checked_sub(1).map(|at| self.key(at))
    }

    fn is_key(&self, at: usize, key: &Key) -> bool {
        match &self.keys {
            Keys::Numbers(keys) => key.0.first().is_some_and(|text| text.parse() == Ok(keys[at])),
            Keys::Texts(columns) => columns.iter().map(|column| &column[at]).eq(&key.0),
        }
    }

    fn is_same(&self, at: usize, other: &Self, there: usize) -> bool {
        match (&self.keys, &other.keys) {
            (Keys::Numbers(ours), Keys::Numbers(theirs)) => ours[at] == theirs[there],
            (Keys::Texts(ours), Keys::Texts(theirs)) => {
                ours.iter().map(|column| &column[at]).eq(theirs.iter().map(|column| &column[there]))
            }
            _ => false,
        }
    }
}

fn front<T>(list: &mut Vec<T>, count: usize) -> Vec<T> {
    let behind = list.split_off(count);
    std::mem::replace(list, behind)
}

impl Part for Listing {
    async fn read(ends: &Ends, side: Side, range: Range<'_>, limit: i64) -> Result<Self> {
        ends.list(side, ends.shapes.columns.order, range, limit).await
    }

    fn end(&self, limit: i64) -> Option<Key> {
        self.last().filter(|_| i64::try_from(self.len()).is_ok_and(|rows| rows >= limit))
    }
}

impl Lot for Listing {
    fn len(&self) -> usize {
        self.hashes.len()
    }

    fn up_to(&self, key: &Key) -> Option<usize> {
        if let Keys::Numbers(keys) = &self.keys {
            let number: i64 = key.0.first()?.parse().ok()?;
            return Some(keys.partition_point(|key| *key <= number));
        }
        if self.len() == 0 {
            return Some(0);
        }
        // Mostly near the end.
        (0..self.len()).rev().find(|at| self.is_key(*at, key)).map(|at| at + 1)
    }

    fn take(&mut self, rows: usize) -> Self {
        let keys = match &mut self.keys {
            Keys::Numbers(keys) => Keys::Numbers(front(keys, rows)),
            Keys::Texts(columns) => Keys::Texts(columns.iter_mut().map(|column| front(column, rows)).collect()),
        };
        Self { keys, hashes: front(&mut self.hashes, rows) }
    }

    fn append(&mut self, mut next: Self) {
        if self.len() == 0 {
            *self = next;
            return;
        }
        match (&mut self.keys, &mut next.keys) {
            (Keys::Numbers(keys), Keys::Numbers(more)) => keys.append(more),
            (Keys::Texts(columns), Keys::Texts(more)) => {
                columns.iter_mut().zip(more).for_each(|(column, more)| column.append(more));
            }
            _ => unreachable!("the keys of a mirror are of one kind"),
        }
        self.hashes.append(&mut next.hashes);
    }

    fn counted(&self) -> usize {
        self.hashes.iter().filter(|hash| hash.is_some()).count()
    }

    fn bytes(&self) -> usize {
        0
    }

    fn differing(source: &Self, target: &Self) -> Vec<Key> {
        let (mut here, mut there, mut suspects) = (0, 0, Vec::new());
        while here < source.len() && there < target.len() {
            if source.is_same(here, target, there) {
                if source.hashes[here] != target.hashes[there] {
                    suspects.push(source.key(here));
                }
                (here, there) = (here + 1, there + 1);
                continue;
            }
            let (Keys::Numbers(ours), Keys::Numbers(theirs)) = (&source.keys, &target.keys) else { break };
            if ours[here] < theirs[there] {
                suspects.extend(source.hashes[here].map(|_| source.key(here)));
                here += 1;
            } else {
                suspects.push(target.key(there));
                there += 1;
            }
        }
        // From the first text on that only one side has: what order it has is the servers' affair.
        let mut left: HashMap<Key, Option<i64>> =
            (there..target.len()).map(|at| (target.key(at), target.hashes[at])).collect();
        for at in (here..source.len()).filter(|at| source.hashes[*at].is_some()) {
            let key = source.key(at);
            if left.remove(&key) != Some(source.hashes[at]) {
                suspects.push(key);
            }
        }
        suspects.extend(left.into_keys());
        suspects
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(rows: &[(i64, Option<i64>)]) -> Listing {
        Listing {
            keys: Keys::Numbers(rows.iter().map(|row| row.0).collect()),
            hashes: rows.iter().map(|row| row.1).collect(),
        }
    }

    fn texts(rows: &[(i64, Option<i64>)]) -> Listing {
        let keys = rows.iter().map(|row| row.0.to_string()).collect();
        Listing { keys: Keys::Texts(vec![keys]), hashes: rows.iter().map(|row| row.1).collect() }
    }

    fn found(source: &Listing, target: &Listing) -> Vec<String> {
        let mut keys: Vec<String> = Listing::differing(source, target).into_iter().map(|key| key.0.concat()).collect();
        keys.sort();
        keys
    }

    #[test]
    fn a_row_that_does_not_count_is_none() {
        let source = [(1, Some(1)), (2, None), (3, None), (5, Some(5)), (6, Some(6))];
        let target = [(1, Some(1)), (3, Some(3)), (4, Some(4)), (6, Some(7))];
        assert_eq!(found(&numbers(&source), &numbers(&target)), ["3", "4", "5", "6"]);
        assert_eq!(found(&texts(&source), &texts(&target)), ["3", "4", "5", "6"]);
    }

    #[test]
    fn m03_rows_of_one_side_only_are_found_at_both_ends_and_between() {
        let (all, some) = ([(1, Some(1)), (2, Some(2)), (3, Some(3)), (4, Some(4))], [(2, Some(2)), (4, Some(4))]);
        for list in [numbers, texts] {
            assert_eq!(found(&list(&all), &list(&some)), ["1", "3"]);
            assert_eq!(found(&list(&some), &list(&all)), ["1", "3"]);
            assert_eq!(found(&list(&all), &list(&all[..2])), ["3", "4"]);
            assert_eq!(found(&list(&[]), &list(&some)), ["2", "4"]);
            assert_eq!(found(&list(&some), &list(&[])), ["2", "4"]);
            assert!(found(&list(&all), &list(&all)).is_empty());
        }
    }

    #[test]
    fn a_listing_is_taken_up_to_a_key_and_the_next_rows_are_added() {
        let key = |text: &str| Key(vec![text.to_owned()]);
        for list in [numbers, texts] {
            let mut listing = list(&[(-9, Some(1)), (2, None), (30, Some(3))]);
            assert_eq!((listing.up_to(&key("2")), listing.up_to(&key("30"))), (Some(2), Some(3)));
            let front = listing.take(2);
            assert_eq!((front.counted(), front.last()), (1, Some(key("2"))));
            listing.append(list(&[(31, Some(4))]));
            assert_eq!(listing, list(&[(30, Some(3)), (31, Some(4))]));
            assert_eq!(listing.take(2).len(), 2);
            listing.append(list(&[(40, None)]));
            assert_eq!(listing, list(&[(40, None)]));
        }
        assert_eq!(numbers(&[(1, None), (4, None)]).up_to(&key("3")), Some(1), "the order of numbers is known here");
        assert_eq!(texts(&[]).up_to(&key("3")), Some(0));
        assert_eq!(texts(&[(1, None), (4, None)]).up_to(&key("3")), None, "that of texts is not");
    }
}
