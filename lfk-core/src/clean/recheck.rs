//! The re-check: which parents are absent now.
//!
//! The parent's table on the primary is authoritative. Every key asked for gets an answer; a missing one is an error, never
//! an absence.

use sqlx::Row as _;

use super::permit::Permit;
use super::shape::Shape;
use crate::database::Purpose;
use crate::error::{Error, Result};
use crate::key::Key;

/// Parents that are read for each key at most: to look for one that was just deleted costs as much as five entries of the index.
const DENSITY: usize = 5;
/// Keys below which each is looked for.
const MANY: usize = 100;

/// The keys whose parent is absent now. No key may be there twice. Also reads whether the definition may still act.
///
/// # Errors
/// Paused, when it may not; refused, when the answer is not complete.
pub(crate) async fn absent_parents(permit: Permit<'_>, shape: &Shape, keys: &[Key]) -> Result<Vec<Key>> {
    let home = permit.home;
    let mut tx = home.begin(Purpose::Recheck).await?;
    permit.guard(&mut tx).await?;
    let dense = shape.recheck_dense().zip(dense(keys));
    let mut query = tx.query(dense.as_ref().map_or_else(|| shape.recheck(), |(sql, _)| sql.clone()).into_sql_str());
    for column in Key::by_column(keys, shape.width()) {
        query = query.bind(column);
    }
    if let Some((_, (first, last))) = dense {
        query = query.bind(first).bind(last);
    }
    let row = query.fetch_one(tx.conn()).await.map_err(|e| home.error(e))?;
    tx.commit().await?;
    if row.get::<Option<Vec<Option<String>>>, _>("kinds").as_ref() != Some(&shape.kinds) {
        return Err(Error::refused(
            "the parent's key columns no longer compare as they did: a type or a collation was changed",
        )
        .in_database(home.name())
        .for_definition(permit.consumer)
        .with_hint("run `lfk plan`"));
    }
    let places = |list: &str| row.get::<Option<Vec<i64>>, _>(list).unwrap_or_default();
    let present = answers(keys.len(), &places("present"), &places("absent")).ok_or_else(|| incomplete(permit))?;
    Ok(keys.iter().zip(present).filter(|(_, is_there)| !is_there).map(|(key, _)| key.clone()).collect())
}

/// The first and the last of these keys, where they are integers, many, and so close together that to read all parents between
/// them costs less than to look for each.
fn dense(keys: &[Key]) -> Option<(i64, i64)> {
    if keys.len() < MANY {
        return None;
    }
    let number = |key: &Key| key.0.first().and_then(|column| column.parse::<i64>().ok());
    let (mut first, mut last) = (i64::MAX, i64::MIN);
    for key in keys {
        let number = number(key)?;
        (first, last) = (first.min(number), last.max(number));
    }
    let between = usize::try_from(last.checked_sub(first)?).ok()?;
    (between / DENSITY < keys.len()).then_some((first, last))
}

/// Whether the key at each place is there; nothing unless every place, counted from 1, is named exactly once.
fn answers(keys: usize, present: &[i64], absent: &[i64]) -> Option<Vec<bool>> {
    let mut found = vec![None; keys];
    let named = present.iter().map(|place| (place, true)).chain(absent.iter().map(|place| (place, false)));
    for (place, is_there) in named {
        let slot = usize::try_from(*place).ok()?.checked_sub(1).and_then(|index| found.get_mut(index))?;
        if slot.replace(is_there).is_some() {
            return None;
        }
    }
    found.into_iter().collect()
}

fn incomplete(permit: Permit<'_>) -> Error {
    Error::refused(
        "the re-check did not answer for every key: the database is a standby, or something rewrites our statement",
    )
    .in_database(permit.home.name())
    .for_definition(permit.consumer)
    .with_hint("lfk must be connected to the primary")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(numbers: impl IntoIterator<Item = i64>) -> Vec<Key> {
        numbers.into_iter().map(|number| Key(vec![number.to_string()])).collect()
    }

    #[test]
    fn many_integers_close_together_are_dense() {
        assert_eq!(dense(&keys((-50..50).rev())), Some((-50, 49)));
        assert_eq!(dense(&keys((0..99).chain([499]))), Some((0, 499)));
        assert_eq!(dense(&keys((0..99).chain([500]))), None);
        assert_eq!(dense(&keys(0..99)), None);
        assert_eq!(dense(&keys((0..98).chain([i64::MIN, i64::MAX]))), None);
        let mut texts = keys(0..100);
        texts[50] = Key(vec!["a".to_owned()]);
        assert_eq!(dense(&texts), None);
    }

    #[test]
    fn an_answer_names_every_place_once_or_counts_for_nothing() {
        assert_eq!(answers(3, &[2], &[3, 1]), Some(vec![false, true, false]));
        assert_eq!(answers(0, &[], &[]), Some(vec![]));
        assert_eq!(answers(3, &[2], &[3]), None);
        assert_eq!(answers(2, &[1, 2], &[2]), None);
        assert_eq!(answers(2, &[1], &[1]), None);
        assert_eq!(answers(1, &[1], &[0]), None);
        assert_eq!(answers(1, &[1], &[2]), None);
        assert_eq!(answers(1, &[-1], &[]), None);
    }
}
