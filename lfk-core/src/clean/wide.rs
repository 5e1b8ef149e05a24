//! Very wide parents: millions of children, cleaned beside the others in a bounded share of the time.
//!
//! Their rows are listed tens of thousands at a time and cleaned slice by slice, because a LIMIT in every slice would walk
//! again over the index entries that the slices before have emptied, and become slower with each. The list lives in memory
//! only: what is done is gone from the table, so a crash, or a row that has moved, is met by the next list. The parent is
//! re-checked before every slice; in one database the slice's rows are locked first, and its statement looks for the parent
//! itself.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::batch::Piece;
use super::converge::{Cleaner, Tally};
use super::shape::Form;
use super::statement::Target;
use crate::error::Result;
use crate::key::Key;

/// Rows listed at a time: two megabytes, and one walk over the emptied front of the index for many slices.
const LIST_ROWS: i64 = 250_000;
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

impl List {
    fn is_empty(&self) -> bool {
        self.0.len() < ADDRESS
    }

    /// The next rows, as text.
    fn take(&mut self, rows: usize) -> Vec<String> {
        let bytes = rows.saturating_mul(ADDRESS).min(self.0.len());
        let bytes: Vec<u8> = self.0.drain(..bytes).collect();
        let address = |row: &[u8]| match *row {
            [a, b, c, d, e, f] => {
                Some(format!("({},{})", u32::from_be_bytes([a, b, c, d]), u16::from_be_bytes([e, f])))
            }
            _ => None,
        };
        bytes.chunks_exact(ADDRESS).filter_map(address).collect()
    }
}

impl Cleaner<'_> {
    /// Cleans children of one wide parent for `budget`, or until none is left.
    ///
    /// # Errors
    /// As converging; the rows that were done stay done and are counted in `tally`.
    pub(crate) async fn clean_wide(&mut self, key: &Key, budget: Duration, tally: &mut Tally) -> Result<WideEnd> {
        let began = Instant::now();
        let keys = std::slice::from_ref(key);
        let columns = Key::by_column(keys, self.looker.shape.width());
        while began.elapsed() < budget {
            let Some(rows) = self.clean_listed(keys, &columns, began + budget, tally).await? else {
                return Ok(WideEnd::Done);
            };
            if rows == 0 {
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

    /// One list of each leaf, slice by slice. Answers the rows that went, or `None` when the parent is back.
    async fn clean_listed(
        &mut self,
        keys: &[Key],
        columns: &[Vec<String>],
        until: Instant,
        tally: &mut Tally,
    ) -> Result<Option<u64>> {
        let mut rows = 0;
        let mut sliced = false;
        let leaves = self.looker.read_deadline().await?.leaves;
        for leaf in &leaves {
            let mut left = List(self.list(leaf, columns, LIST_ROWS).await?.into());
            while !left.is_empty() {
                // One slice at least: reading the list may have taken all of the time.
                if sliced && Instant::now() >= until {
                    return Ok(Some(rows.max(1)));
                }
                sliced = true;
                let slice = left.take(self.pace.slice().min(self.limiter.most_rows()));
                self.limiter.statement(self.stop).await;
                self.go_on()?;
                let truth = self.looker.look(keys).await?;
                if truth.absent.is_empty() {
                    tally.resurrected += 1;
                    return Ok(None);
                }
                let done = self.clean_leaf(leaf, Target::Listed(&slice), columns, truth.deadline).await?;
                tally.rows += done.rows;
                rows += done.rows;
            }
        }
        Ok(Some(rows))
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
}
