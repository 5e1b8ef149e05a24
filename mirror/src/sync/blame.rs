//! Whether an error that looks like a missing right, table or column is true of every row, or of single ones.
//!
//! An expression or a trigger may raise anything for the sake of one row, and so does row-level security. Then the mirror must
//! not stand still for it. What is really missing is missing for every row, and setting rows aside one after the other would
//! end with a mirror that has none: then a person is waited for.

use lfk_core::parts::{Class, Key, classify};
use lfk_core::{Error, Result};

use super::keeper::Keeper;
use super::source;

/// Keys of a batch that are tried one by one.
const WITNESSES: usize = 8;
/// Other keys of the source that are tried.
const NEIGHBOURS: usize = 3;

/// Whether the keys are to blame for what was denied them together: both databases take the statements as such, and at least
/// one row goes well. Rows of the batch itself are asked; others of the source, too, where it is the reading that fails, or
/// where the batch is a single key: among them `well`, with which all went well a while ago. (A row that is there already is not
/// written again, so that it says little of the target.)
///
/// # Errors
/// What would end the batch anyway.
pub(super) async fn is_of_single_rows(keeper: &Keeper<'_>, keys: &[Key], well: Option<&Key>) -> Result<bool> {
    let (turn, sql) = (keeper.writer.turn, &keeper.writer.sql);
    // A statement is analysed, and its rights are judged, before its first row.
    if !goes_well(source::read(turn.home(), sql, &[]).await)? || !goes_well(keeper.writer.probe().await)? {
        return Ok(false);
    }
    let unreadable = !goes_well(source::read(turn.home(), sql, keys).await)?;
    let step = keys.len().div_ceil(WITNESSES).max(1);
    let mut witnesses: Vec<Key> = keys.iter().step_by(step).cloned().collect();
    if unreadable || keys.len() == 1 {
        witnesses.extend(well.cloned());
        witnesses.extend(source::next_keys(turn.home(), sql, None, NEIGHBOURS).await?);
    }
    for witness in witnesses {
        keeper.go_on()?;
        if goes_well(keeper.attempt(&[witness]).await)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// False for an error that is about rights, the schema or a row.
fn goes_well<T>(tried: Result<T>) -> Result<bool> {
    match tried {
        Ok(_) => Ok(true),
        Err(error) if matches!(classify(&error), Class::Stop | Class::Hold) => Err(error),
        Err(_) => Ok(false),
    }
}

/// The error of every row, with what to do about it.
pub(super) fn with_remedy(error: Error, mirror: &str) -> Error {
    if error.hint.is_some() {
        return error;
    }
    error.with_hint(format!(
        "no row of mirror \"{mirror}\" can be read or written like this: `lfk plan` says what is missing, a trigger or a function \
         in an expression may say so, too. It goes on by itself once that is mended"
    ))
}
