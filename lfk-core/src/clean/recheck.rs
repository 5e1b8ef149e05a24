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

/// The keys whose parent is absent now. Also reads whether the definition may still act.
///
/// # Errors
/// Paused, when it may not; refused, when the answer is not complete.
pub(crate) async fn absent_parents(permit: Permit<'_>, shape: &Shape, keys: &[Key]) -> Result<Vec<Key>> {
    let home = permit.home;
    let mut tx = home.begin(Purpose::Recheck).await?;
    permit.guard(&mut tx).await?;
    let mut query = tx.query(shape.recheck().into_sql_str());
    for column in Key::by_column(keys, shape.width()) {
        query = query.bind(column);
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
