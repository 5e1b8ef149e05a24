//! Children of a wide parent that lie close together: cleaned stretch by stretch, each some pages of the leaf.
//!
//! Where many rows of a page are of the one key, to read the page costs less than to go to each of its rows. Nothing but the way is
//! chosen here: each statement repeats the key, and what lies elsewhere by now is found by the next list (`wide.rs`). How far the walk
//! is lives in memory only.

use lfk_sql::{TableName, statements};

use super::converge::{Cleaner, Tally};
use super::statement::Target;
use super::wide::Spent;
use crate::database::Purpose;
use crate::error::Result;
use crate::key::Key;

/// Rows of the key in a page, from which on pages are read: a page of eighty rows costs about as much as twelve rows that are
/// listed and then looked for by their addresses.
const DENSE: u64 = 15;
/// And below which rows are taken by their addresses again.
const SPARSE: u64 = 10;
/// Pages of a stretch at most, 16 MB: so many that a look at each pays, and so few that a statement does not become long where all of
/// their rows suddenly are of the key.
const MAX_PAGES: u64 = 2_000;

/// How rows of a list lie in their leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lie {
    pub(super) first_page: u32,
    pub(super) last_page: u32,
    pub(super) rows: u64,
}

impl Lie {
    fn pages(self) -> u64 {
        u64::from(self.last_page - self.first_page) + 1
    }

    /// Whether reading pages pays.
    pub(super) fn is_dense(self) -> bool {
        self.rows >= self.pages() * DENSE
    }
}

/// A piece of the way through a leaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stretch {
    first: u32,
    last: u32,
}

impl Stretch {
    /// Pages from `first` on in which about so many rows lie, where `lie` is typical. `None`: one page has more already, and only
    /// addresses make a statement that small.
    fn of(first: u32, rows: usize, lie: Lie) -> Option<Self> {
        let rows = u64::try_from(rows).unwrap_or(u64::MAX);
        let pages = rows.saturating_mul(lie.pages()) / lie.rows.max(1);
        let further = u32::try_from(pages.min(MAX_PAGES)).ok()?.checked_sub(1)?;
        Some(Self { first, last: first.saturating_add(further) })
    }

    /// The ends of the stretch, as the server writes addresses.
    pub(super) fn ends(self) -> (String, String) {
        (format!("({},0)", self.first), format!("({},65535)", self.last))
    }

    fn lie(self, rows: u64) -> Lie {
        Lie { first_page: self.first, last_page: self.last, rows }
    }
}

impl Cleaner<'_> {
    /// Walks from where the listed rows begin to the end of the leaf, as long as rows of the key lie close together. Answers the page
    /// behind the walk, or `None` when the parent is back.
    pub(super) async fn clean_stretches(
        &mut self,
        leaf: &TableName,
        keys: &[Key],
        mut lie: Lie,
        spent: &mut Spent,
        tally: &mut Tally,
    ) -> Result<Option<u32>> {
        let columns = Key::by_column(keys, self.looker.shape.width());
        let pages = self.count_pages(leaf).await?;
        let mut next = lie.first_page;
        while i64::from(next) < pages && !spent.is_over() {
            self.see_room().await;
            let Some(stretch) = Stretch::of(next, self.pace.slice(), lie) else { break };
            let target = Target::Within(stretch);
            let Some(rows) = self.clean_part(leaf, keys, &columns, target, spent, tally).await? else {
                return Ok(None);
            };
            next = stretch.last.saturating_add(1);
            lie = stretch.lie(rows);
            if rows < lie.pages() * SPARSE {
                break;
            }
        }
        Ok(Some(next))
    }

    async fn count_pages(&self, leaf: &TableName) -> Result<i64> {
        let away = self.looker.away;
        let mut tx = away.begin(Purpose::Recheck).await?;
        let query = tx.query_scalar(statements::count_pages(leaf).into_sql_str());
        let pages = query.fetch_one(tx.conn()).await.map_err(|e| away.error(e))?;
        tx.commit().await?;
        Ok(pages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stretch_has_as_many_pages_as_its_rows_take() {
        let lie = Lie { first_page: 10, last_page: 19, rows: 200 };
        assert!(lie.is_dense());
        let Some(stretch) = Stretch::of(20, 1000, lie) else { panic!("fifty pages are some") };
        assert_eq!(stretch, Stretch { first: 20, last: 69 });
        assert_eq!(stretch.ends(), ("(20,0)".to_owned(), "(69,65535)".to_owned()));
        assert_eq!(Stretch::of(20, 20, lie), Some(Stretch { first: 20, last: 20 }));
        assert_eq!(Stretch::of(20, 19, lie), None, "a page has twenty");
        assert_eq!(Stretch::of(u32::MAX - 1, 1000, lie), Some(Stretch { first: u32::MAX - 1, last: u32::MAX }));
        assert_eq!(Stretch::of(0, 1_000_000, lie), Some(Stretch { first: 0, last: 1999 }));
        assert_eq!(stretch.lie(999).pages(), 50);
    }

    #[test]
    fn rows_far_apart_are_not_dense() {
        assert!(!Lie { first_page: 0, last_page: 99, rows: 1499 }.is_dense());
        assert!(Lie { first_page: 0, last_page: 99, rows: 1500 }.is_dense());
    }
}
