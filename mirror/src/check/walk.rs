//! The way through both tables, chunk by chunk: which keys look different. Nothing is proven here.
//!
//! Each side reads its own next rows behind the last key. The smaller of the two last keys bounds the chunk, so a row is in a
//! chunk whichever side alone has it: before the first key of the other side, behind its last one, or in a gap.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lfk_core::parts::Key;
use lfk_core::{Error, ErrorKind, Result};
use serde::{Deserialize, Serialize};

use super::Method;
use super::ahead::{Lot, Part as _, Reader, Rows};
use super::chunk::{Chunk, Next, both, count, cut, next_rows};
use super::copied::{Copied, is_too_large};
use super::ends::{Digest, Ends, Range, passes_in};
use super::limits::{FEWEST_EVER, MOST, most_of_width, next_limit};
use super::listing::Listing;
use super::physical::{Pages, Physical, Step};
use super::sandwich::timed_out;
use super::sums::Sums;
use crate::{Order, Side};

/// Where it begins.
const FIRST: i64 = 20_000;
/// A list of keys is sent to the other side.
const MOST_BY_KEY: i64 = 20_000;
/// Above this share of differing chunks a digest only costs.
const MANY_DIFFER: f64 = 0.5;
/// After so many chunks on end whose last keys are the same on both sides the next one's digests are read ahead.
const STEADY: u32 = 2;
/// Rows of so many bytes on average are hashed by their servers instead of being sent.
const NARROW: i64 = 96;
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
    /// Whether rows are sent as they are where they are compared one by one; nothing: it is not known how large they are.
    streams: Option<bool>,
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

/// How a chunk is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Digests,
    Rows,
    Copies,
    Keys,
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
            streams: None,
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
                // Hashes are small whatever the rows are: as many of them as before.
                Err(error) if self.is_too_wide(&error) => self.streams = Some(false),
                Err(error) if self.is_too_much(&error) => self.limit = (self.limit / 4).max(FEWEST_EVER),
                // There are texts that a server holds and cannot send, and rows of which fifty are too many.
                Err(error) if self.way() == Way::Copies && is_of_sending(&error) => {
                    self.streams = Some(false);
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

    /// Whether rows need not be sent, and are too wide for it; fewer of them would go, but a size that was asked for would be lost.
    fn is_too_wide(&self, error: &Error) -> bool {
        let may_hash = self.method != Method::Streamed && self.way() == Way::Copies;
        may_hash && (self.fixed || self.streams.is_none()) && is_too_large(error)
    }

    /// How the next chunk is compared: row by row while most chunks differ. As they are, until it is known how large rows are:
    /// narrow ones cost both servers less than their hashes do, wide ones more of the network and of this process.
    fn way(&self) -> Way {
        match self.method {
            Method::Keys => Way::Keys,
            Method::Streamed => Way::Copies,
            Method::Rows => Way::Rows,
            Method::Digest if self.differing <= MANY_DIFFER => Way::Digests,
            Method::Digest if self.streams != Some(false) => Way::Copies,
            // In physical order there are pages, and no chunks.
            Method::Digest | Method::Physical => Way::Rows,
        }
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
        let (chunk, last) = match self.way() {
            Way::Keys => self.by_keys(behind.as_ref()).await?,
            Way::Rows => self.by_rows(behind.as_ref()).await?,
            Way::Copies => self.by_copies(behind.as_ref()).await?,
            Way::Digests => self.by_digest(behind.as_ref()).await?,
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
        self.most = MOST;
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
        if source.sum != target.sum {
            let list = |side| Listing::read(self.ends, side, range, i64::MAX);
            let (source, target) = futures::try_join!(list(Side::Source), list(Side::Target))?;
            chunk.suspects = Listing::differing(&source, &target);
        }
        Ok((chunk, cut.at))
    }

    async fn by_rows(&mut self, after: Option<&Key>) -> Result<(Chunk, Option<Key>)> {
        let Readers { shared, digests, rows, copies } = &mut self.readers;
        (*digests, *copies) = (None, None);
        self.most = MOST;
        let next = next_rows(rows, shared, self.ends, after, self.limit, self.ahead).await?;
        Ok(self.took_rows(next))
    }

    async fn by_copies(&mut self, after: Option<&Key>) -> Result<(Chunk, Option<Key>)> {
        let Readers { shared, digests, rows, copies } = &mut self.readers;
        (*digests, *rows) = (None, None);
        // A COPY that is not read to its end takes its connection along: none is begun that may not be needed.
        let ahead = self.ahead && (self.method == Method::Streamed || self.streams == Some(true));
        let next = next_rows(copies, shared, self.ends, after, self.limit, ahead).await?;
        if let Some(width) = next.bytes.checked_div(next.chunk.read.max(next.target_rows)) {
            self.most = most_of_width(width);
            self.streams = Some(width <= NARROW);
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

/// Whether another method may not meet it. What passes is none of these.
fn is_of_sending(error: &Error) -> bool {
    is_too_large(error) || error.kind == ErrorKind::Sql && passes_in(error, 0).is_none()
}
