//! A part of both tables that is compared: where it ends, and its rows one by one.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::Duration;

use lfk_core::Result;
use lfk_core::parts::Key;

use super::ahead::{Lot, Rows};
use super::ends::{Ends, Range};
use crate::Side;

/// A part of both tables that was compared.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chunk {
    /// Source rows that pass the filter.
    pub(crate) rows: i64,
    /// Source rows read.
    pub(crate) read: i64,
    /// Rows among which the suspects were found.
    pub(crate) among: i64,
    /// Keys that looked different.
    pub(crate) suspects: Vec<Key>,
    /// The walk has begun anew: nothing that was found before counts.
    pub(crate) anew: bool,
}

/// The rows of a chunk, compared.
#[derive(Debug)]
pub(crate) struct Next {
    pub(crate) chunk: Chunk,
    pub(crate) last: Option<Key>,
    pub(crate) took: Option<(i64, Duration)>,
    /// Whether everything was at hand; otherwise the readers begin anew.
    pub(crate) whole: bool,
    /// Bytes of the larger side.
    pub(crate) bytes: i64,
    /// Rows of the target; those of the source are the chunk's.
    pub(crate) target_rows: i64,
}

/// Compares the next rows of both sides.
///
/// # Errors
/// When a database fails.
pub(crate) async fn next_rows<L: Lot>(
    readers: &mut Option<[Rows<L>; 2]>,
    shared: &mut Option<Arc<Ends>>,
    ends: &Ends,
    after: Option<&Key>,
    limit: i64,
    ahead: bool,
) -> Result<Next> {
    let [source, target] = match readers {
        Some(readers) => readers,
        none => none.insert(both(shared, ends, |e, s| Rows::begin(e, s, after.cloned()))),
    };
    let filled = futures::try_join!(source.fill(limit, ahead), target.fill(limit, ahead))?;
    let cut = cut(ends, source.end.clone(), target.end.clone()).await?;
    let range = Range { after, up_to: cut.at.as_ref() };
    let (source, target) = (source.take(range.up_to), target.take(range.up_to));
    let whole = source.is_some() && target.is_some();
    let again = async |side, rows: Option<L>| match rows {
        Some(rows) => Ok(rows),
        None => L::read(ends, side, range, i64::MAX).await,
    };
    let (source, target) = futures::try_join!(again(Side::Source, source), again(Side::Target, target))?;
    let (rows, read) = (count(source.counted()), count(source.len()));
    let chunk = Chunk { rows, read, among: rows, suspects: L::differing(&source, &target), anew: false };
    let bytes = count(source.bytes().max(target.bytes()));
    Ok(Next { chunk, last: cut.at, took: filled.0.max(filled.1), whole, bytes, target_rows: count(target.len()) })
}

/// A reader of each side.
pub(crate) fn both<R>(shared: &mut Option<Arc<Ends>>, ends: &Ends, begin: impl Fn(&Arc<Ends>, Side) -> R) -> [R; 2] {
    let ends = shared.get_or_insert_with(|| Arc::new(ends.clone()));
    [begin(ends, Side::Source), begin(ends, Side::Target)]
}

/// Where a chunk ends, and which side has read beyond.
pub(crate) async fn cut(ends: &Ends, source: Option<Key>, target: Option<Key>) -> Result<Cut> {
    Ok(match (source, target) {
        (None, None) => Cut { at: None, again: None },
        (Some(source), None) => Cut { at: Some(source), again: Some(Side::Target) },
        (None, Some(target)) => Cut { at: Some(target), again: Some(Side::Source) },
        (Some(source), Some(target)) if source == target => Cut { at: Some(source), again: None },
        (Some(source), Some(target)) => match ends.compare(&source, &target).await? {
            Ordering::Less => Cut { at: Some(source), again: Some(Side::Target) },
            Ordering::Equal => Cut { at: Some(source), again: None },
            Ordering::Greater => Cut { at: Some(target), again: Some(Side::Source) },
        },
    })
}

#[derive(Debug)]
pub(crate) struct Cut {
    pub(crate) at: Option<Key>,
    pub(crate) again: Option<Side>,
}

pub(crate) fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}
