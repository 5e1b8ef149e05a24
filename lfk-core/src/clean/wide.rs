//! Very wide parents: millions of children, cleaned beside the others in a bounded share of the time.
//!
//! Their rows are listed, many slices at a time, and cleaned slice by slice (or, where they lie close together, page by page:
//! `stretch.rs`), because a LIMIT in every slice would walk
//! again over the index entries that the slices before have emptied, and become slower with each. The list lives in memory
//! only: what is done is gone from the table, so a crash, or a row that has moved, is met by the next list. The parent is
//! re-checked before every slice; in one database the slice's rows are locked first, and its statement looks for the parent
//! itself.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use lfk_sql::TableName;

use super::batch::Piece;
use super::class::{Class, classify};
use super::converge::{Cleaner, Tally};
use super::shape::Form;
use super::statement::Target;
use super::stretch::Lie;
use crate::error::Result;
use crate::key::Key;
use crate::retry::Reason;

/// Bytes of an address.
const ADDRESS: usize = 6;

/// How the time for a wide parent ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WideEnd {
    /// No child is left, or the parent is back.
    Done,
    /// The time was up.
    More,
}

/// Rows of one leaf that are still to be cleaned: four bytes for the page and two for the place in it, each the highest first.
#[derive(Debug)]
pub(super) struct List(VecDeque<u8>);

/// What was done of a share of the time.
#[derive(Debug)]
pub(super) struct Spent {
    until: Instant,
    /// Rows that went since the last list.
    rows: u64,
    /// A statement was sent.
    any: bool,
}

impl Spent {
    /// Whether the time is up. One statement at least: the list may have taken all of it.
    pub(super) fn is_over(&self) -> bool {
        self.any && Instant::now() >= self.until
    }
}

impl List {
    fn is_empty(&self) -> bool {
        self.0.len() < ADDRESS
    }

    fn address(row: &[u8]) -> Option<(u32, u16)> {
        match *row {
            [a, b, c, d, e, f] => Some((u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([e, f]))),
            _ => None,
        }
    }

    /// How the rows lie; nothing unless they come page after page, as an index has the rows of one key.
    fn lie(&mut self) -> Option<Lie> {
        let rows = self.0.make_contiguous();
        let pages = || rows.chunks_exact(ADDRESS).filter_map(Self::address).map(|(page, _)| page);
        let (first_page, last_page) = (pages().next()?, pages().next_back()?);
        let rows = u64::try_from(rows.len() / ADDRESS).unwrap_or(u64::MAX);
        pages().is_sorted().then_some(Lie { first_page, last_page, rows })
    }

    /// Leaves out the rows of the pages before this one.
    fn skip_to(&mut self, page: u32) {
        let rows = self.0.make_contiguous().chunks_exact(ADDRESS);
        let before = rows.take_while(|row| Self::address(row).is_some_and(|(at, _)| at < page)).count();
        self.0.drain(..before * ADDRESS);
    }

    /// The next rows, as text.
    fn take(&mut self, rows: usize) -> Vec<String> {
        let bytes = rows.saturating_mul(ADDRESS).min(self.0.len());
        let bytes: Vec<u8> = self.0.drain(..bytes).collect();
        let text = |row: &[u8]| Self::address(row).map(|(page, place)| format!("({page},{place})"));
        bytes.chunks_exact(ADDRESS).filter_map(text).collect()
    }
}

impl Cleaner<'_> {
    /// Cleans children of one wide parent for `budget`, or until none is left, or until the key turns out to be no matter for this
    /// way: it is set aside then with the reason.
    ///
    /// # Errors
    /// What ends a batch: a database that is away, a missing right, a lost lease, a pause. The rows that were done stay done and are
    /// counted in `tally`.
    pub(crate) async fn clean_wide(&mut self, key: &Key, budget: Duration, tally: &mut Tally) -> Result<WideEnd> {
        let mut spent = Spent { until: Instant::now() + budget, rows: 0, any: false };
        let keys = std::slice::from_ref(key);
        let mut around_locks = false;
        while Instant::now() < spent.until {
            let round = if around_locks {
                self.clean_capped(keys, tally).await
            } else {
                self.clean_round(keys, &mut spent, tally).await
            };
            let error = match round {
                Ok(Some(end)) => return Ok(end),
                Ok(None) => continue,
                Err(error) => error,
            };
            let reason = match classify(&error) {
                Class::Stop | Class::Hold | Class::Block => return Err(error),
                // Smaller now, be it because of the rows or because somebody waited for them.
                Class::Slow if self.pace.wide_timed_out() => continue,
                Class::Slow => Reason::TimedOut,
                // What is locked is left alone first.
                Class::Locked | Class::Contended if !around_locks => {
                    around_locks = true;
                    continue;
                }
                Class::Locked => Reason::Locked,
                Class::Contended => Reason::Contended,
                Class::Poison => Reason::Poisoned,
            };
            tally.set_aside(vec![key.clone()], reason, &error);
            return Ok(WideEnd::Done);
        }
        Ok(WideEnd::More)
    }

    /// One list of each leaf; when nothing is in them any more, the proof of it, under the leaf's lock and on a primary.
    async fn clean_round(&mut self, keys: &[Key], spent: &mut Spent, tally: &mut Tally) -> Result<Option<WideEnd>> {
        (spent.rows, spent.any) = (0, false);
        if self.clean_listed(keys, spent, tally).await?.is_none() {
            return Ok(Some(WideEnd::Done));
        }
        if spent.rows > 0 { Ok(None) } else { self.clean_capped(keys, tally).await }
    }

    /// Some rows that nobody has locked. Answers how it ended when no more can be had so.
    async fn clean_capped(&mut self, keys: &[Key], tally: &mut Tally) -> Result<Option<WideEnd>> {
        let cap = self.pace.cap().min(self.limiter.most_rows());
        let attempt = self.attempt(&Piece::new(keys.to_vec(), Form::Capped, cap)).await?;
        tally.rows += attempt.rows;
        tally.resurrected += attempt.resurrected;
        if !attempt.more.is_empty() {
            return Ok(None);
        }
        if !attempt.stuck.is_empty() {
            // It is locked or kept by a trigger: converging it as an ordinary key says which.
            let rest = self.converge(keys.to_vec()).await?;
            tally.rows += rest.rows;
            tally.set_aside.extend(rest.set_aside);
        }
        Ok(Some(WideEnd::Done))
    }

    /// One list of each leaf, slice by slice; or all of a leaf whose rows lie close together. `None`: the parent is back.
    async fn clean_listed(&mut self, keys: &[Key], spent: &mut Spent, tally: &mut Tally) -> Result<Option<()>> {
        let columns = Key::by_column(keys, self.looker.shape.width());
        // Only rows that are named can be counted, or locked, before.
        let counted = self.limiter.most_rows() < usize::MAX || self.looker.permit.most_rows()?.is_some();
        let by_address = self.looker.shape.same_database || counted;
        for leaf in &self.looker.read_deadline().await?.leaves {
            if spent.is_over() {
                break;
            }
            let began = Instant::now();
            let mut left = List(self.list(leaf, &columns, self.pace.list()).await?.into());
            self.pace.listed(began.elapsed());
            if let Some(lie) = left.lie().filter(|lie| lie.is_dense() && !by_address) {
                let Some(next) = self.clean_stretches(leaf, keys, lie, spent, tally).await? else { return Ok(None) };
                left.skip_to(next);
            }
            while !left.is_empty() && !spent.is_over() {
                self.see_room().await;
                let slice = left.take(self.pace.slice().min(self.limiter.most_rows()));
                let target = Target::Listed(&slice);
                if self.clean_part(leaf, keys, &columns, target, spent, tally).await?.is_none() {
                    return Ok(None);
                }
            }
        }
        Ok(Some(()))
    }

    /// One statement. Answers the rows that went, or `None` when the parent is back.
    pub(super) async fn clean_part(
        &mut self,
        leaf: &TableName,
        keys: &[Key],
        columns: &[Vec<String>],
        target: Target<'_>,
        spent: &mut Spent,
        tally: &mut Tally,
    ) -> Result<Option<u64>> {
        self.await_turn().await?;
        let truth = self.looker.look(keys).await?;
        if truth.absent.is_empty() {
            tally.resurrected += 1;
            return Ok(None);
        }
        let done = self.clean_leaf(leaf, target, columns, truth.deadline).await?;
        tally.rows += done.rows;
        spent.rows += done.rows;
        spent.any = true;
        Ok(Some(done.rows))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_handed_out_in_slices_to_its_last_row() {
        let rows = [[0, 0, 0, 0, 0, 1], [0, 1, 0, 1, 0, 3], [255, 255, 255, 254, 1, 0]];
        let mut list = List(rows.concat().into());
        assert_eq!(list.take(2), ["(0,1)", "(65537,3)"]);
        assert!(!list.is_empty());
        assert_eq!(list.take(usize::MAX), ["(4294967294,256)"]);
        assert!(list.is_empty() && list.take(1).is_empty());
    }

    #[test]
    fn how_rows_lie_is_known_only_where_they_come_page_after_page() {
        let row = |page: u8, place: u8| [0, 0, 0, page, 0, place];
        let mut list = List([row(3, 1), row(3, 7), row(9, 1)].concat().into());
        assert_eq!(list.lie(), Some(Lie { first_page: 3, last_page: 9, rows: 3 }));
        list.skip_to(3);
        assert_eq!(list.0.len(), 3 * ADDRESS);
        list.skip_to(9);
        assert_eq!(list.take(2), ["(9,1)"]);
        assert_eq!(List([row(3, 1), row(2, 7)].concat().into()).lie(), None);
        assert_eq!(List(VecDeque::new()).lie(), None);
    }
}
