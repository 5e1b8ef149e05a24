//! The way through both tables, chunk by chunk: which keys look different. Nothing is proven here.
//!
//! Each side reads its own next rows behind the last key. The smaller of the two last keys bounds the chunk, so a row is in a
//! chunk whichever side alone has it: before the first key of the other side, behind its last one, or in a gap.

use std::cmp::Ordering;
use std::sync::Arc;
use std::time::{Duration, Instant};

use lfk_core::parts::Key;
use lfk_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use super::Method;
use super::ahead::{Lot, Part as _, Reader, Rows};
use super::copied::{Copied, is_too_large};
use super::ends::{Digest, Ends, Range, Sum, passes_in};
use super::listing::Listing;
use super::physical::{Pages, Physical, Step};
use super::sandwich::timed_out;
use super::sums::Sums;
use crate::{Order, Side};

/// The fewest and the most rows that one statement reads.
const FEWEST: i64 = 1_000;
const MOST: i64 = 200_000;
/// Below [`FEWEST`] only after a statement ran out of time.
const FEWEST_EVER: i64 = 50;
/// Where it begins.
const FIRST: i64 = 20_000;
/// A list of keys is sent to the other side.
const MOST_BY_KEY: i64 = 20_000;
/// Above this share of differing chunks a digest only costs.
const MANY_DIFFER: f64 = 0.5;
/// After so many chunks on end whose last keys are the same on both sides the next one's digests are read ahead.
const STEADY: u32 = 2;
/// Rows of so many bytes on average are hashed by their servers instead of being sent.
const NARROW: i64 = 128;
/// About so many bytes of rows that are sent as they are make a chunk.
const CHUNK_BYTES: i64 = 4 * 1024 * 1024;
/// Before anything is known: with the second chunk that differs the digests end.
const AT_FIRST: f64 = 0.25;

/// How far a pass has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Position {
    /// The last key that is done; nothing: none yet.
    pub(crate) behind: Option<Vec<String>>,
    /// Where each side walks in its own order: the source is done, and the target is looked through for rows too many.
    #[serde(default)]
    pub(crate) reverse: bool,
    /// Everything was looked at.
    #[serde(default)]
    pub(crate) done: bool,
    /// Where the walk goes in physical order: how far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) pages: Option<Pages>,
    /// It went in physical order and could not go on: by key from the beginning.
    #[serde(default)]
    pub(crate) by_key: bool,
}

impl Position {
    /// Where the sums of a walk in physical order are part of it: how many buckets they have, and their stamp.
    pub(crate) fn needs_sums(&self) -> Option<(u32, u64)> {
        let pages = self.pages.as_ref().filter(|pages| pages.buckets > 0 && !pages.skims);
        pages.map(|pages| (pages.buckets, pages.stamp))
    }
}

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

/// The walk.
#[derive(Debug)]
pub(crate) struct Walk<'a> {
    ends: &'a Ends,
    pub(crate) position: Position,
    method: Method,
    physical: Option<Physical<'a>>,
    limit: i64,
    target: Duration,
    fixed: bool,
    /// How many of the last chunks differed, the latest counting most.
    differing: f64,
    /// Whether rows are sent as they are where they are compared one by one.
    streams: bool,
    /// The most rows of the next chunk.
    most: i64,
    /// Whether servers read ahead.
    ahead: bool,
    readers: Readers,
    /// How many chunks on end ended with the same key on both sides.
    steady: u32,
    /// How many rows the last statements read, and how long they took.
    took: Option<(i64, Duration)>,
}

/// Where each side reads. One kind at a time.
#[derive(Debug, Default)]
struct Readers {
    shared: Option<Arc<Ends>>,
    digests: Option<[Reader<Digest>; 2]>,
    rows: Option<[Rows<Listing>; 2]>,
    copies: Option<[Rows<Copied>; 2]>,
}

impl Readers {
    fn stop(&mut self) {
        (self.digests, self.rows, self.copies) = (None, None, None);
    }
}

impl<'a> Walk<'a> {
    /// `sums`: what an earlier part of a walk in physical order has kept.
    pub(crate) fn new(
        ends: &'a Ends,
        mut position: Position,
        method: Method,
        rows: Option<u32>,
        target: Duration,
        sums: Option<Sums>,
    ) -> Self {
        let limit = rows.map_or(FIRST, |rows| i64::from(rows.max(1)));
        let physical = (method == Method::Physical).then(|| Physical::new(ends, rows, target, sums));
        if physical.is_some() {
            position.pages.get_or_insert_default();
        }
        Self {
            ends,
            position,
            method,
            physical,
            limit,
            target,
            fixed: rows.is_some(),
            differing: AT_FIRST,
            streams: true,
            most: MOST,
            ahead: true,
            readers: Readers::default(),
            steady: STEADY,
            took: None,
        }
    }

    /// For a walk that rests between its chunks: what was read ahead would be old by then.
    pub(crate) fn never_ahead(&mut self) {
        self.ahead = false;
    }

    /// How rows are compared now.
    pub(crate) fn method(&self) -> Method {
        self.method
    }

    /// Between 0 and 1, where it is known exactly.
    pub(crate) fn fraction(&self) -> Option<f64> {
        self.physical.as_ref().map(Physical::fraction)
    }

    /// What has to be kept with the position.
    pub(crate) fn sums(&self) -> Option<&Sums> {
        let physical = self.physical.as_ref()?;
        self.position.needs_sums().map(|_| &physical.sums)
    }

    /// Compares the next chunk and moves behind it.
    ///
    /// # Errors
    /// When a database fails; then the position has not moved.
    pub(crate) async fn next(&mut self) -> Result<Chunk> {
        let mut tries = 0;
        loop {
            let begun = Instant::now();
            let next = self.try_next().await;
            if next.is_err() || !self.ahead {
                self.readers.stop();
            }
            match next {
                Ok(chunk) => {
                    self.differing = 0.75 * self.differing + if chunk.suspects.is_empty() { 0.0 } else { 0.25 };
                    let (limit, took) = self.took.take().unwrap_or_else(|| (self.limit, begun.elapsed()));
                    if !self.fixed && self.physical.is_none() {
                        self.limit = next_limit(limit, took, self.target).min(self.most);
                    }
                    return Ok(chunk);
                }
                // Never again at the same size.
                Err(error) if timed_out(&error) && self.physical.as_mut().is_some_and(Physical::shrink) => {}
                Err(error) if self.is_too_much(&error) => self.limit = (self.limit / 4).max(FEWEST_EVER),
                // There are texts that a server holds and cannot send, and rows of which fifty are too many.
                Err(error) if self.is_sending() && is_of_sending(&error) => {
                    self.streams = false;
                    self.method = self.ends.shapes.method();
                }
                Err(error) => match passes_in(&error, tries) {
                    Some(wait) => tokio::time::sleep(wait).await,
                    None => return Err(error),
                },
            }
            tries += 1;
        }
    }

    /// Whether fewer rows may do.
    fn is_too_much(&self, error: &Error) -> bool {
        self.physical.is_none() && self.limit > FEWEST_EVER && (timed_out(error) || is_too_large(error))
    }

    /// Whether rows are compared as they are just now.
    fn is_sending(&self) -> bool {
        self.method == Method::Streamed || self.streams && self.method == Method::Digest && self.differing > MANY_DIFFER
    }

    async fn try_next(&mut self) -> Result<Chunk> {
        if let (Some(physical), Some(pages)) = (&mut self.physical, &mut self.position.pages) {
            return Ok(match physical.step(pages).await? {
                Step::Read(chunk) => chunk,
                Step::Done => {
                    self.position.done = true;
                    Chunk::default()
                }
                Step::Anew => Chunk { anew: true, ..Chunk::default() },
                Step::GivenUp => {
                    self.method = self.ends.shapes.method();
                    self.physical = None;
                    self.position = Position { by_key: true, ..Position::default() };
                    Chunk { anew: true, ..Chunk::default() }
                }
            });
        }
        let behind = self.position.behind.clone().map(Key);
        let (chunk, last) = match self.method {
            Method::Keys => self.by_keys(behind.as_ref()).await?,
            Method::Rows => self.by_rows(behind.as_ref()).await?,
            Method::Streamed => self.by_copies(behind.as_ref()).await?,
            // In physical order there are pages, see above.
            Method::Physical => (Chunk::default(), None),
            Method::Digest if self.differing > MANY_DIFFER => self.by_each(behind.as_ref()).await?,
            Method::Digest => self.by_digest(behind.as_ref()).await?,
        };
        match last {
            Some(last) => self.position.behind = Some(last.0),
            None if self.method == Method::Keys && !self.position.reverse => {
                self.position.reverse = true;
                self.position.behind = None;
            }
            None => self.position.done = true,
        }
        Ok(chunk)
    }

    async fn by_digest(&mut self, after: Option<&Key>) -> Result<(Chunk, Option<Key>)> {
        (self.readers.rows, self.readers.copies) = (None, None);
        let ahead = self.ahead && self.steady >= STEADY;
        let readers = match &mut self.readers.digests {
            Some(readers) => readers,
            none => none.insert(both(&mut self.readers.shared, self.ends, |e, s| Reader::begin(e, s, after.cloned()))),
        };
        let [source, target] = readers;
        let (source, target) = futures::try_join!(source.next(self.limit, ahead), target.next(self.limit, ahead))?;
        self.took = Some((source.limit, source.took.max(target.took)));
        let cut = cut(self.ends, source.end, target.end).await?;
        let range = Range { after, up_to: cut.at.as_ref() };
        let (mut source, mut target) = (source.part, target.part);
        self.steady = if cut.again.is_none() { self.steady.saturating_add(1) } else { 0 };
        match cut.again {
            Some(Side::Source) => source = Digest::read(self.ends, Side::Source, range, i64::MAX).await?,
            Some(Side::Target) => target = Digest::read(self.ends, Side::Target, range, i64::MAX).await?,
            None => {}
        }
        if cut.again.is_some() {
            // Both begin anew behind the cut.
            self.readers.stop();
        }
        let (rows, read) = (source.sum.rows, source.read);
        let mut chunk = Chunk { rows, read, among: rows, ..Chunk::default() };
        if differ(&source.sum, &target.sum) {
            let list = |side| Listing::read(self.ends, side, range, i64::MAX);
            let (source, target) = futures::try_join!(list(Side::Source), list(Side::Target))?;
            chunk.suspects = Listing::differing(&source, &target);
        }
        Ok((chunk, cut.at))
    }

    /// Row by row, until it is known how large they are as they are wherever that is possible: narrow ones cost both servers less
    /// than their hashes, wide ones more of the network.
    async fn by_each(&mut self, after: Option<&Key>) -> Result<(Chunk, Option<Key>)> {
        if self.streams { self.by_copies(after).await } else { self.by_rows(after).await }
    }

    async fn by_rows(&mut self, after: Option<&Key>) -> Result<(Chunk, Option<Key>)> {
        let Readers { shared, digests, rows, copies } = &mut self.readers;
        (*digests, *copies) = (None, None);
        let next = next_rows(rows, shared, self.ends, after, self.limit, self.ahead).await?;
        Ok(self.took_rows(next))
    }

    async fn by_copies(&mut self, after: Option<&Key>) -> Result<(Chunk, Option<Key>)> {
        let Readers { shared, digests, rows, copies } = &mut self.readers;
        (*digests, *rows) = (None, None);
        let next = next_rows(copies, shared, self.ends, after, self.limit, self.ahead).await?;
        if let Some(width) = next.bytes.checked_div(next.chunk.read.max(next.among)) {
            self.most = (CHUNK_BYTES / width.max(1)).clamp(FEWEST, MOST);
            self.streams = width <= NARROW;
        }
        Ok(self.took_rows(next))
    }

    fn took_rows(&mut self, next: Next) -> (Chunk, Option<Key>) {
        if !next.whole {
            self.readers.stop();
        }
        self.took = next.took;
        (next.chunk, next.last)
    }

    /// Each side in its own order: the source's keys are looked up in the target, then the target's in the source.
    async fn by_keys(&self, after: Option<&Key>) -> Result<(Chunk, Option<Key>)> {
        let (from, to) =
            if self.position.reverse { (Side::Target, Side::Source) } else { (Side::Source, Side::Target) };
        let limit = self.limit.min(MOST_BY_KEY);
        let rows = self.ends.list(from, Order::Native, Range { after, up_to: None }, limit).await?;
        let last = rows.end(limit);
        let keys: Vec<Key> = rows.keys().collect();
        let there = if keys.is_empty() { Vec::new() } else { self.ends.hashes(to, &keys).await? };
        let mut chunk = Chunk::default();
        if !self.position.reverse {
            chunk.rows = count(rows.counted());
            chunk.read = count(rows.len());
        }
        chunk.among = chunk.rows;
        // Rows too many, and rows of a source row that does not count, are found on the way back, and only these: the values
        // were compared on the way there.
        let reverse = self.position.reverse;
        let differs = |mine: Option<i64>, other: Option<i64>| {
            if reverse { other.is_none() } else { mine.is_some() && mine != other }
        };
        let both = keys.into_iter().zip(rows.hashes.iter().zip(there));
        chunk.suspects = both.filter(|(_, (mine, other))| differs(**mine, *other)).map(|(key, _)| key).collect();
        Ok((chunk, last))
    }
}

/// The rows of a chunk, compared.
#[derive(Debug)]
struct Next {
    chunk: Chunk,
    last: Option<Key>,
    took: Option<(i64, Duration)>,
    /// Whether everything was at hand; otherwise the readers begin anew.
    whole: bool,
    /// Bytes of the larger side, and its rows.
    bytes: i64,
    among: i64,
}

async fn next_rows<L: Lot>(
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
    Ok(Next { chunk, last: cut.at, took: filled.0.max(filled.1), whole, bytes, among: count(target.len()) })
}

/// A reader of each side.
fn both<R>(shared: &mut Option<Arc<Ends>>, ends: &Ends, begin: impl Fn(&Arc<Ends>, Side) -> R) -> [R; 2] {
    let ends = shared.get_or_insert_with(|| Arc::new(ends.clone()));
    [begin(ends, Side::Source), begin(ends, Side::Target)]
}

/// Where a chunk ends, and which side has read beyond.
async fn cut(ends: &Ends, source: Option<Key>, target: Option<Key>) -> Result<Cut> {
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
struct Cut {
    at: Option<Key>,
    again: Option<Side>,
}

/// Whether another method may not meet it. What passes is none of these.
fn is_of_sending(error: &Error) -> bool {
    is_too_large(error) || error.kind == ErrorKind::Sql && passes_in(error, 0).is_none()
}

fn differ(source: &Sum, target: &Sum) -> bool {
    source != target
}

fn count(rows: usize) -> i64 {
    i64::try_from(rows).unwrap_or(i64::MAX)
}

/// How many rows the next statements read, so that they take about `target`.
fn next_limit(limit: i64, took: Duration, target: Duration) -> i64 {
    scaled(limit, took, target).clamp(FEWEST, MOST)
}

/// So many that the next statement takes about `target`, where these took so long.
pub(crate) fn scaled(limit: i64, took: Duration, target: Duration) -> i64 {
    let times = |part: i64, of: i64| limit.saturating_mul(part) / of.max(1);
    let (took, target) = (millis(took).max(1), millis(target));
    // Never more than twice as many: the last chunk may have been an easy one.
    times(target, took).clamp(times(1, 2), times(2, 1))
}

fn millis(time: Duration) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_grow_towards_the_time_that_they_should_take_and_not_beyond() {
        let target = Duration::from_millis(250);
        let next = |limit, took| next_limit(limit, Duration::from_millis(took), target);
        assert_eq!(next(20_000, 250), 20_000);
        assert_eq!(next(20_000, 1), 40_000);
        assert_eq!(next(20_000, 300), 16_666);
        assert_eq!(next(20_000, 60_000), 10_000);
        assert_eq!(next(150_000, 1), MOST);
        assert_eq!(next(1_000, 60_000), FEWEST);
    }
}
