//! The first look for the parents of a page of numbers: those between its first and its last key, read in one way along the index,
//! where they lie densely enough; else each key is looked for.
//!
//! The parents' table on the primary is authoritative, and is read after the children. What is not found here is a suspect and no
//! more: the second look, which decides, has an answer for each key.

use lfk_sql::statements;
use sqlx::Row as _;

use super::walk::in_order;
use crate::clean::{Permit, Shape, absent_parents};
use crate::database::{Database, Purpose};
use crate::error::Result;
use crate::key::Key;

/// Parents that are looked for in one statement.
pub(super) const LOOK_UPS: usize = 5_000;
/// Parents that are read for each key, at most: a look costs about eight times as much as an entry of the index.
const DENSITY: usize = 4;
/// Keys below which each is looked for.
const FEW: usize = 100;
/// After a page whose parents lay too far apart, so many pages are looked for key by key.
const PATIENCE: u32 = 16;

/// Looks for parents of one definition.
pub(super) struct Parents<'a> {
    pub(super) shape: &'a Shape,
    pub(super) home: &'a Database,
    pub(super) name: &'a str,
}

/// What was learned of the pages so far. Lost with the walk, and learned again.
#[derive(Debug, Default)]
pub(super) struct Learned {
    /// Pages that are still looked for key by key.
    one_by_one: u32,
}

/// Parents between two keys.
struct Between {
    parents: Vec<i64>,
    /// There are more: nothing is known of what lies behind the last one.
    cut: bool,
}

impl Parents<'_> {
    /// The keys whose parent is absent, each asked for.
    pub(super) async fn absent(&self, keys: &[Key]) -> Result<Vec<Key>> {
        let permit = Permit::to_look(self.home, self.name);
        let mut absent = Vec::new();
        for keys in keys.chunks(LOOK_UPS) {
            absent.extend(absent_parents(permit, self.shape, keys).await?);
        }
        Ok(absent)
    }

    /// The same of numbers in their order.
    pub(super) async fn absent_numbers(&self, numbers: &[i64], learned: &mut Learned) -> Result<Vec<Key>> {
        let (mut rest, mut absent) = (numbers, Vec::new());
        if learned.one_by_one > 0 {
            learned.one_by_one -= 1;
        } else if numbers.len() > FEW {
            if let Some(found) = self.between(numbers).await? {
                rest = missing(numbers, &found, &mut absent);
                // Where the limit ended it, less than one parent in DENSITY was asked for.
                learned.one_by_one = if rest.is_empty() { 0 } else { PATIENCE };
            } else {
                learned.one_by_one = u32::MAX;
            }
        }
        let mut suspects = keys(&absent);
        suspects.extend(self.absent(&keys(rest)).await?);
        Ok(suspects)
    }

    /// The parents between the first and the last of these; nothing where they cannot be had so. Why, the look for each says.
    async fn between(&self, numbers: &[i64]) -> Result<Option<Between>> {
        let (Some(first), Some(last), Some(sql)) = (numbers.first(), numbers.last(), self.shape.parents_between())
        else {
            return Ok(None);
        };
        let limit = numbers.len().saturating_mul(DENSITY);
        let home = self.home;
        let mut tx = home.begin(Purpose::Recheck).await?;
        tx.run(statements::ONLY_BY_INDEX).await?;
        let query = tx.query(sql.into_sql_str()).bind(first).bind(last).bind(i64::try_from(limit).unwrap_or(i64::MAX));
        let row = match query.fetch_one(tx.conn()).await.map_err(|e| home.error(e)) {
            Err(error) if error.sqlstate().as_deref() == Some("57014") => return Ok(None),
            row => row?,
        };
        tx.commit().await?;
        let kinds = row.get::<Option<Vec<Option<String>>>, _>("kinds");
        if row.get::<bool, _>("standby") || kinds.as_ref() != Some(&self.shape.kinds) {
            return Ok(None);
        }
        let mut parents = row.get::<Option<Vec<i64>>, _>("keys").unwrap_or_default();
        let cut = parents.len() >= limit;
        in_order(&mut parents);
        Ok(Some(Between { parents, cut }))
    }
}

/// Adds to `absent` the numbers that are none of the parents, and answers those of which nothing is known. Both are in order.
fn missing<'n>(numbers: &'n [i64], found: &Between, absent: &mut Vec<i64>) -> &'n [i64] {
    let mut parents = found.parents.iter().copied().peekable();
    for (at, number) in numbers.iter().enumerate() {
        while parents.next_if(|parent| parent < number).is_some() {}
        match parents.peek() {
            Some(parent) if parent == number => {}
            None if found.cut => return &numbers[at..],
            _ => absent.push(*number),
        }
    }
    &[]
}

fn keys(numbers: &[i64]) -> Vec<Key> {
    numbers.iter().map(|number| Key(vec![number.to_string()])).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(numbers: &[i64], parents: &[i64], cut: bool) -> (Vec<i64>, Vec<i64>) {
        let mut absent = Vec::new();
        let unknown = missing(numbers, &Between { parents: parents.to_vec(), cut }, &mut absent).to_vec();
        (absent, unknown)
    }

    #[test]
    fn what_is_no_parent_is_absent() {
        assert_eq!(look(&[-3, 1, 2, 5, 9], &[-3, 2, 3, 4, 5], false), (vec![1, 9], vec![]));
        assert_eq!(look(&[1, 2], &[], false), (vec![1, 2], vec![]));
        assert_eq!(look(&[], &[1], false), (vec![], vec![]));
    }

    #[test]
    fn behind_the_last_parent_of_a_full_answer_nothing_is_known() {
        assert_eq!(look(&[1, 2, 5, 9], &[2, 3, 5], true), (vec![1], vec![9]));
        assert_eq!(look(&[1, 4, 9], &[2, 3, 5], true), (vec![1, 4], vec![9]));
        assert_eq!(look(&[1, 2], &[2, 3], true), (vec![1], vec![]));
        assert_eq!(look(&[1], &[], true), (vec![], vec![1]));
    }
}
