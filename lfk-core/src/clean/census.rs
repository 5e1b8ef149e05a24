//! Which keys of a batch are wide: asked of the children's database as soon as a capped statement was full.
//!
//! A wide parent among the others fills statement after statement, and until it is found the small ones beside and behind it
//! wait. So the children of each key are counted at once, by one walk over the index that ends where enough were found. The
//! count decides only which keys are cleaned beside the others: nothing is ever deleted by it, and a crash asks again. Where it
//! cannot be had, or does not come to all keys, the widest key is found by halving as the last way (`batch.rs`).

use lfk_sql::{TableName, statements};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::batch::{Piece, ROUNDS};
use super::class::{Class, classify};
use super::converge::{Attempt, Cleaner, Tally};
use crate::database::Purpose;
use crate::error::Result;
use crate::key::Key;
use crate::retry::{Reason, SetAside};

/// Children that are counted at most, of all keys together, in children of a wide key: the work stays within what a few
/// statements that clean cost.
const COUNTED: usize = 4;
/// A key with so many children is wide, however many rows a statement takes by now.
const WIDE: usize = 25_000;

/// What counting came to.
struct Census {
    /// By the order of the keys.
    wide: Vec<bool>,
    /// Some keys were not come to, or not to their end.
    cut_off: bool,
}

impl Cleaner<'_> {
    /// After a full capped statement, sets the wide keys aside. What is left of the attempt and its piece is for the others.
    ///
    /// # Errors
    /// What ends the batch: the children's database is away, the engine stops.
    pub(super) async fn part_from_wide(
        &self,
        mut piece: Piece,
        mut attempt: Attempt,
        tally: &mut Tally,
    ) -> Result<(Piece, Attempt)> {
        if attempt.more.is_empty() || piece.counted {
            return Ok((piece, attempt));
        }
        piece.counted = true;
        let census = match self.count(&attempt.full, &attempt.more).await {
            Ok(census) => census,
            Err(error) => match classify(&error) {
                Class::Stop | Class::Hold => return Err(error),
                // Halving goes on without it, and says what is the matter if anything is.
                _ => return Ok((piece, attempt)),
            },
        };
        let keys = attempt.more.len();
        let (wide, others): (Vec<_>, Vec<_>) = attempt.more.into_iter().zip(census.wide).partition(|(_, wide)| *wide);
        attempt.more = others.into_iter().map(|(key, _)| key).collect();
        attempt.of_wide = !wide.is_empty();
        if attempt.of_wide {
            tracing::debug!(definition = %self.looker.permit.consumer, keys, wide = wide.len(), "wide keys set aside");
            tally.set_aside.extend(wide.into_iter().map(|(key, _)| SetAside::new(key, Reason::Wide, None)));
            // There may be more of them, and each time there are fewer keys.
            piece.counted = !census.cut_off;
        }
        Ok((piece, attempt))
    }

    /// Counts the children of each key in these leaves, as far as it takes to know which keys are wide.
    async fn count(&self, leaves: &[TableName], keys: &[Key]) -> Result<Census> {
        // More than so many statements would take: as many as those after which a single key is wide anyway.
        let cap = self.pace.cap().min(self.limiter.most_rows());
        let enough = cap.saturating_mul(usize::from(ROUNDS)).min(WIDE);
        let mut left = enough * COUNTED;
        let mut counts = vec![0; keys.len()];
        let columns = Key::by_column(keys, self.looker.shape.width());
        for leaf in leaves {
            self.go_on()?;
            for (index, rows) in self.count_leaf(leaf, &columns, enough, left).await? {
                left = left.saturating_sub(rows);
                if let Some(count) = counts.get_mut(index) {
                    *count += rows;
                }
            }
            if left == 0 {
                break;
            }
        }
        Ok(Census { wide: counts.into_iter().map(|rows| rows >= enough).collect(), cut_off: left == 0 })
    }

    /// The children of each key in one leaf, at most `most` of a key and `total` of all. Keys without any are left out.
    async fn count_leaf(
        &self,
        leaf: &TableName,
        columns: &[Vec<String>],
        most: usize,
        total: usize,
    ) -> Result<Vec<(usize, usize)>> {
        let bigint = |rows: usize| i64::try_from(rows).unwrap_or(i64::MAX);
        let mut tx = self.looker.away.begin(Purpose::Recheck).await?;
        tx.run(statements::ONLY_BY_INDEX).await?;
        let mut query = tx.query(self.looker.shape.count(leaf).into_sql_str());
        for column in columns {
            query = query.bind(column);
        }
        let rows = query.bind(bigint(most)).bind(bigint(total)).fetch_all(tx.conn()).await;
        let rows = rows.map_err(|e| self.looker.away.error(e))?;
        tx.commit().await?;
        let number = |row: &PgRow, column: &str| usize::try_from(row.get::<i64, _>(column)).unwrap_or(0);
        // Ordinals begin with 1.
        let counted = |row| Some((number(row, "ord").checked_sub(1)?, number(row, "rows")));
        Ok(rows.iter().filter_map(counted).collect())
    }
}
