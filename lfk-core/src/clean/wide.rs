//! Very wide parents: millions of children, cleaned beside the others in a bounded share of the time.
//!
//! Their rows are listed tens of thousands at a time and cleaned slice by slice (or, where they lie close together, page by page:
//! `stretch.rs`), because a LIMIT in every slice would walk
//! again over the index entries that the slices before have emptied, and become slower with each. The list lives in memory
//! only: what is done is gone from the table, so a crash, or a row that has moved, is met by the next list. The parent is
//! re-checked before every slice; in one database the slice's rows are locked first, and its statement looks for the parent
//! itself.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use lfk_sql::TableName;

use super::batch::Piece;
use super::converge::{Cleaner, Tally};
use super::shape::Form;
use super::statement::Target;
use super::stretch::Lie;
use crate::error::Result;
use crate::key::Key;

/// Rows listed at a time: two megabytes, and one walk over the emptied front of the index for many slices.
const LIST_ROWS: i64 = 250_000;
/// Rows listed at first, which show how the others lie.
const FIRST_LIST_ROWS: i64 = 25_000;
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

    /// The next rows, as text.
    fn take(&mut self, rows: usize) -> Vec<String> {
        let bytes = rows.saturating_mul(ADDRESS).min(self.0.len());
        let bytes: Vec<u8> = self.0.drain(..bytes).collect();
        let text = |row: &[u8]| Self::address(row).map(|(page, place)| format!("({page},{place})"));
        bytes.chunks_exact(ADDRESS).filter_map(text).collect()
    }
}

impl Cleaner<'_> {
    /// Cleans children of one wide parent for `budget`, or until none is left.
    ///
    /// # Errors
    /// As converging; the rows that were done stay done and are counted in `tally`.
    pub(crate) async fn clean_wide(&mut self, key: &Key, budget: Duration, tally: &mut Tally) -> Result<WideEnd> {
        let mut spent = Spent { until: Instant::now() + budget, rows: 0, any: false };
        let keys = std::slice::from_ref(key);
        let mut list_rows = FIRST_LIST_ROWS;
        while Instant::now() < spent.until {
            (spent.rows, spent.any) = (0, false);
            if self.clean_listed(keys, list_rows, &mut spent, tally).await?.is_none() {
                return Ok(WideEnd::Done);
            }
            list_rows = LIST_ROWS;
            if spent.rows == 0 {
                let attempt = self
                    .attempt(&Piece::new(keys.to_vec(), Form::Capped, self.pace.cap().min(self.limiter.most_rows())))
                    .await?;
                tally.rows += attempt.rows;
                tally.resurrected += attempt.resurrected;
                // What is stuck is locked or kept by a trigger: converging it as an ordinary key says which.
                if attempt.more.is_empty() && attempt.stuck.is_empty() {
                    return Ok(WideEnd::Done);
                }
                if attempt.more.is_empty() {
                    let rest = self.converge(keys.to_vec()).await?;
                    tally.rows += rest.rows;
                    tally.set_aside.extend(rest.set_aside);
                    return Ok(WideEnd::Done);
                }
            }
        }
        Ok(WideEnd::More)
    }

    /// One list of each leaf, slice by slice; or all of a leaf whose rows lie close together. `None`: the parent is back.
    async fn clean_listed(
        &mut self,
        keys: &[Key],
        list_rows: i64,
        spent: &mut Spent,
        tally: &mut Tally,
    ) -> Result<Option<()>> {
        let columns = Key::by_column(keys, self.looker.shape.width());
        // Only rows that are named can be counted, or locked, before.
        let counted = self.limiter.most_rows() < usize::MAX || self.looker.permit.most_rows()?.is_some();
        let by_address = self.looker.shape.same_database || counted;
        for leaf in &self.looker.read_deadline().await?.leaves {
            let mut left = List(self.list(leaf, &columns, list_rows).await?.into());
            if let Some(lie) = left.lie().filter(|lie| lie.is_dense() && !by_address) {
                if self.clean_stretches(leaf, keys, lie, spent, tally).await?.is_none() {
                    return Ok(None);
                }
                continue;
            }
            while !left.is_empty() && !spent.is_over() {
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
        self.limiter.statement(self.stop).await;
        self.go_on()?;
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
        assert_eq!(List([row(3, 1), row(2, 7)].concat().into()).lie(), None);
        assert_eq!(List(VecDeque::new()).lie(), None);
    }
}
