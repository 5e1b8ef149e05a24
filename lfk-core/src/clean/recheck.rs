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
    let rows = query.fetch_all(tx.conn()).await.map_err(|e| home.error(e))?;
    tx.commit().await?;
    let mut present: Vec<Option<bool>> = vec![None; keys.len()];
    if rows.first().is_some_and(|row| row.get::<Option<Vec<Option<String>>>, _>("kinds").as_ref() != Some(&shape.kinds))
    {
        return Err(Error::refused(
            "the parent's key columns no longer compare as they did: a type or a collation was changed",
        )
        .in_database(home.name())
        .for_definition(permit.consumer)
        .with_hint("run `lfk plan`"));
    }
    for row in &rows {
        let ordinal = usize::try_from(row.get::<i64, _>("ord")).unwrap_or(0);
        match ordinal.checked_sub(1).and_then(|index| present.get_mut(index)) {
            Some(slot @ None) => *slot = Some(row.get("present")),
            _ => return Err(incomplete(permit)),
        }
    }
    if present.iter().any(Option::is_none) {
        return Err(incomplete(permit));
    }
    Ok(keys.iter().zip(present).filter(|(_, p)| *p == Some(false)).map(|(key, _)| key.clone()).collect())
}

fn incomplete(permit: Permit<'_>) -> Error {
    Error::refused(
        "the re-check did not answer for every key: the database is a standby, or something rewrites our statement",
    )
    .in_database(permit.home.name())
    .for_definition(permit.consumer)
    .with_hint("lfk must be connected to the primary")
}
