//! The walk in physical order, for tables whose rows do not lie in the order of the key: by the key's index each row would be
//! another page.
//!
//! **Sums.** Each side is read once, page by page, by short statements. The servers add its rows up in buckets of keys (count,
//! XOR and sum of the row hashes), here what the target has is taken from what the source has, and what is left over says in
//! which buckets the sides differ. **Skim.** Then the pages are passed over once more: rows of differing buckets, and rows
//! written since the walk began, are looked up on the other side by their keys. What differs there is a suspect and goes into
//! the sandwich like every other.
//!
//! Why no row that differed before the walk is lost, though rows move while it goes on (an UPDATE puts a row at another place):
//!
//! - A row that nobody writes stays where it is, and is summed exactly once. Suppose it differs from what the other side has
//!   under its key. If that one stays, too, the bucket differs; if it moves, it is summed once, twice or never, each time with
//!   another hash than ours, and the bucket differs all the same. So our row is listed and looked up.
//! - A row that is written is in neither sum for certain, and need not make its bucket differ: one that is too many could move
//!   from pages not yet read to pages already read and would be seen by nobody. But now it carries the number of a transaction
//!   that the walk's beginning did not see as over, so the skim lists it, whatever its bucket.
//! - Rows that only look different (seen twice, not at all, or changed between the sides) make buckets differ. That costs
//!   look-ups and is nothing else: verdicts come from the sandwich.
//! - What moves all rows at once without writing them anew (VACUUM FULL, CLUSTER) or takes leaves away is seen at the end of
//!   the leaves, by their files: the walk begins anew, and after some tries goes by key.
//!
//! What is left: a row that differs, and that is moved behind the reader both times while it passes. The next walk has the same
//! chance to see it, and a change of its mirrored columns is looked at by itself. And two different buckets may have equal sums:
//! one in 2^64 for each of the two, and another seed each time.
//!
//! Memory: 16 bytes a bucket, at most 1 MiB, and the rows that one statement lists. The position is [`Pages`] with the sums,
//! which are kept in a cursor store in parts, the less often the more there are; whatever is lost means to begin anew.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use lfk_core::Result;
use lfk_core::parts::Key;
use serde::{Deserialize, Serialize};

use super::chunk::Chunk;
use super::ends::{Ends, Listed};
use super::leaves::{Chosen, Leaf, PageRange, Since, Summed};
use super::sums::{Sums, buckets_for, of_hex, to_hex};
use crate::Side;

/// Pages of the first statements, and the most (1 GiB).
const FIRST: i64 = 512;
const MOST: i64 = 131_072;
/// Most rows that a statement lists; they are looked up at once.
const LISTED: i64 = 20_000;
/// So often a walk begins whose leaves change while it goes on.
const MOST_BEGUN: u32 = 3;
/// Rows of a page where nothing else is known.
const ROWS_OF_A_PAGE: f64 = 50.0;
/// Keys that were suspects, so that a row that is listed twice is none twice.
const MOST_SEEN: usize = 100_000;
/// The share of the way that the sums are.
const SUMS_SHARE: f64 = 0.9;

/// How far one side was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    /// What tells rows that were written since the walk began.
    oldest: String,
    next: String,
    /// The leaf being read; nothing: none yet.
    leaf: Option<i64>,
    /// The next page of it.
    page: i64,
    /// The versions of the leaves begun, added up.
    versions: u64,
    /// Pages read, and how many there are; rows in them.
    read: i64,
    of: i64,
    rows: i64,
    done: bool,
}

impl Place {
    /// At the first page again.
    fn again(&mut self, done: bool) {
        (self.leaf, self.page, self.versions, self.done) = (None, 0, 0, done);
        (self.of, self.read) = (self.read, 0);
    }

    fn share(&self) -> f64 {
        if self.done { 1.0 } else { super::as_float(self.read) / super::as_float(self.of.max(self.read).max(1)) }
    }

    /// About how many rows so many pages have.
    fn rows_of(&self, pages: i64) -> i64 {
        self.rows.saturating_mul(pages) / self.of.max(1)
    }
}

/// How far a walk in physical order has come.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Pages {
    /// A power of two; 0: it has not begun.
    pub(crate) buckets: u32,
    source: Place,
    target: Place,
    /// Everything is summed, and passed over once more.
    pub(crate) skims: bool,
    /// A bit for each bucket that differs; nothing: none does.
    differing: Option<String>,
    /// How often the walk has begun.
    begun: u32,
    /// Which kept sums belong to it.
    pub(crate) stamp: u64,
}

/// What a step has led to.
#[derive(Debug)]
pub(crate) enum Step {
    /// Some pages were read.
    Read(Chunk),
    /// Everything was.
    Done,
    /// The leaves are not what they were: nothing that was found counts.
    Anew,
    /// It cannot be done in this way: by key, from the beginning.
    GivenUp,
}

/// Where the next pages of a side are.
enum Ahead {
    Pages(PageRange),
    End,
    /// Leaves were taken away, or all of their rows were moved.
    Moved,
}

/// One side.
#[derive(Debug)]
struct Reader {
    side: Side,
    leaves: Vec<Leaf>,
    pages: i64,
}

/// The walk.
#[derive(Debug)]
pub(crate) struct Physical<'a> {
    ends: &'a Ends,
    pub(crate) sums: Sums,
    source: Reader,
    target: Reader,
    seen: HashSet<Key>,
    /// How long a statement should take; nothing: the number of pages stays.
    time: Option<Duration>,
    fraction: f64,
}

impl<'a> Physical<'a> {
    /// `rows`: of a chunk, where somebody wants to fix it. `sums`: what an earlier part of the walk has kept.
    pub(crate) fn new(ends: &'a Ends, rows: Option<u32>, time: Duration, sums: Option<Sums>) -> Self {
        let pages = rows.map_or(FIRST, |rows| i64::from(rows / 64).max(1));
        let reader = |side| Reader { side, leaves: Vec::new(), pages };
        let (source, target) = (reader(Side::Source), reader(Side::Target));
        let time = rows.is_none().then_some(time);
        Self { ends, sums: sums.unwrap_or_default(), source, target, seen: HashSet::new(), time, fraction: 0.0 }
    }

    /// Between 0 and 1, by pages.
    pub(crate) fn fraction(&self) -> f64 {
        self.fraction
    }

    /// Reads the next pages of both sides, and moves behind them.
    ///
    /// # Errors
    /// When a database fails; then nothing has moved.
    pub(crate) async fn step(&mut self, at: &mut Pages) -> Result<Step> {
        if at.buckets == 0 {
            return if self.begin(at).await? { Ok(Step::Anew) } else { Ok(Step::GivenUp) };
        }
        let mut next = at.clone();
        let read = match (at.skims, at.source.done && at.target.done) {
            (true, true) => return Ok(Step::Done),
            (true, false) => self.skim(&mut next).await,
            (false, true) => self.turn(&mut next).await.map(Some),
            (false, false) => self.sum(&mut next).await,
        };
        let gone = |error: &lfk_core::Error| error.sqlstate().as_deref() == Some("42P01");
        match read {
            Ok(Some(chunk)) => {
                *at = next;
                let share = f64::midpoint(at.source.share(), at.target.share());
                let done = if at.skims { SUMS_SHARE + (1.0 - SUMS_SHARE) * share } else { SUMS_SHARE * share };
                self.fraction = self.fraction.max(done);
                Ok(Step::Read(chunk))
            }
            Err(error) if !gone(&error) => Err(error),
            Ok(None) | Err(_) => Ok(if self.begin(at).await? { Step::Anew } else { Step::GivenUp }),
        }
    }

    /// Fewer pages after a statement that ran out of time. `false`: there are no fewer.
    pub(crate) fn shrink(&mut self) -> bool {
        let shrinks = self.source.pages.max(self.target.pages) > 1;
        for reader in [&mut self.source, &mut self.target] {
            reader.pages = (reader.pages / 4).max(1);
        }
        shrinks
    }

    /// From the first page. `false`: it has begun too often, or a leaf cannot be read in this way.
    async fn begin(&mut self, at: &mut Pages) -> Result<bool> {
        let begun = at.begun + 1;
        // Before anything is read, so that nothing that is written meanwhile counts as old.
        let (here, there) = futures::try_join!(self.ends.since(Side::Source), self.ends.since(Side::Target))?;
        let (source, target) = futures::try_join!(self.ends.leaves(Side::Source), self.ends.leaves(Side::Target))?;
        if begun > MOST_BEGUN || !source.iter().chain(&target).all(|leaf| leaf.readable) {
            return Ok(false);
        }
        let rows = |leaves: &[Leaf]| {
            let known: f64 = leaves.iter().map(|leaf| leaf.rows).sum();
            let pages = super::as_float(leaves.iter().map(|leaf| leaf.pages).sum());
            if known > 0.0 { known } else { ROWS_OF_A_PAGE * pages }
        };
        let buckets = buckets_for(rows(&source).max(rows(&target)));
        let place = |since: Since, leaves: &[Leaf]| Place {
            oldest: since.oldest,
            next: since.next,
            of: leaves.iter().map(|leaf| leaf.pages).sum(),
            ..Place::default()
        };
        let (source_place, target_place) = (place(here, &source), place(there, &target));
        *at = Pages { buckets, source: source_place, target: target_place, begun, ..Pages::default() };
        (self.source.leaves, self.target.leaves) = (source, target);
        self.sums = Sums::new(buckets);
        self.seen.clear();
        Ok(true)
    }

    async fn sum(&mut self, at: &mut Pages) -> Result<Option<Chunk>> {
        let (mask, time) = (i64::from(at.buckets) - 1, self.time);
        let source = self.source.sum(self.ends, &mut at.source, mask, time);
        let target = self.target.sum(self.ends, &mut at.target, mask, time);
        let (Some(source), Some(target)) = futures::try_join!(source, target)? else { return Ok(None) };
        for (side, summed) in [(Side::Source, &source), (Side::Target, &target)] {
            self.sums.add(side, summed).ok_or_else(|| self.ends.no_answer(side))?;
        }
        let rows = source.counted.iter().sum();
        Ok(Some(Chunk { rows, read: source.read, among: rows, ..Chunk::default() }))
    }

    /// From the sums to the skim, which passes over a side only if something has to be found there.
    async fn turn(&mut self, at: &mut Pages) -> Result<Chunk> {
        let differing = self.sums.differing();
        let (here, there) = futures::try_join!(self.ends.since(Side::Source), self.ends.since(Side::Target))?;
        for (place, now) in [(&mut at.source, here), (&mut at.target, there)] {
            // Nobody had begun to write when the walk began, nor has since.
            let still = place.oldest == place.next && now.next == place.next;
            place.again(still && differing.is_none());
        }
        at.skims = true;
        at.differing = differing.as_deref().map(to_hex);
        Ok(Chunk::default())
    }

    async fn skim(&mut self, at: &mut Pages) -> Result<Option<Chunk>> {
        let buckets = at.differing.as_deref().and_then(of_hex);
        let (mask, time) = (i64::from(at.buckets) - 1, self.time);
        let (since_here, since_there) = (at.source.oldest.clone(), at.target.oldest.clone());
        let chosen = |since| Chosen { mask, buckets: buckets.as_deref(), since };
        let source = self.source.skim(self.ends, &mut at.source, chosen(&since_here), time);
        let target = self.target.skim(self.ends, &mut at.target, chosen(&since_there), time);
        let (Some(source), Some(target)) = futures::try_join!(source, target)? else { return Ok(None) };
        let (here, there) = futures::try_join!(
            look_up(self.ends, Side::Target, &source.rows),
            look_up(self.ends, Side::Source, &target.rows),
        )?;
        // Rows too many, and rows of a source row that does not count, are found from the target, and only these.
        let differ = source.rows.into_iter().zip(here).filter(|(row, other)| row.hash.is_some() && row.hash != *other);
        let extra = target.rows.into_iter().zip(there).filter(|(_, other)| other.is_none());
        let mut suspects: Vec<Key> = differ.chain(extra).map(|(row, _)| row.key).collect();
        suspects.retain(|key| !self.seen.contains(key));
        if self.seen.len() < MOST_SEEN {
            self.seen.extend(suspects.iter().cloned());
        }
        let among = at.source.rows_of(source.pages).max(at.target.rows_of(target.pages));
        Ok(Some(Chunk { among, suspects, ..Chunk::default() }))
    }
}

/// What one side has under the keys of the other.
async fn look_up(ends: &Ends, side: Side, rows: &[Listed]) -> Result<Vec<Option<i64>>> {
    let keys: Vec<Key> = rows.iter().map(|row| row.key.clone()).collect();
    if keys.is_empty() { Ok(Vec::new()) } else { ends.hashes(side, &keys).await }
}

/// Rows that were listed, of so many pages.
#[derive(Debug, Default)]
struct Skimmed {
    rows: Vec<Listed>,
    pages: i64,
}

impl Reader {
    /// Nothing: leaves have moved.
    async fn sum(
        &mut self,
        ends: &Ends,
        place: &mut Place,
        mask: i64,
        time: Option<Duration>,
    ) -> Result<Option<Summed>> {
        match self.ahead(ends, place).await? {
            Ahead::Moved => Ok(None),
            Ahead::End => {
                place.done = true;
                Ok(Some(Summed::default()))
            }
            Ahead::Pages(range) => {
                let begun = Instant::now();
                let summed = ends.sum_pages(self.side, &range, mask).await?;
                self.adapt(&range, begun.elapsed(), time);
                place.rows += summed.read;
                pass(place, &range);
                Ok(Some(summed))
            }
        }
    }

    /// Nothing: leaves have moved.
    async fn skim(
        &mut self,
        ends: &Ends,
        place: &mut Place,
        chosen: Chosen<'_>,
        time: Option<Duration>,
    ) -> Result<Option<Skimmed>> {
        let mut range = match self.ahead(ends, place).await? {
            Ahead::Moved => return Ok(None),
            Ahead::End => {
                place.done = true;
                return Ok(Some(Skimmed::default()));
            }
            Ahead::Pages(range) => range,
        };
        loop {
            let begun = Instant::now();
            let limit = if range.to - range.from > 1 { LISTED } else { i64::MAX };
            let rows = ends.skim_pages(self.side, &range, chosen, limit).await?;
            if i64::try_from(rows.len()).is_ok_and(|listed| listed < limit) {
                self.adapt(&range, begun.elapsed(), time);
                pass(place, &range);
                return Ok(Some(Skimmed { rows, pages: range.to - range.from }));
            }
            // There may be more of them.
            let fewer = ((range.to - range.from) / 4).max(1);
            range.to = range.from + fewer;
            self.pages = fewer;
        }
    }

    /// The next pages, as far as the table reaches now.
    async fn ahead(&mut self, ends: &Ends, place: &mut Place) -> Result<Ahead> {
        if place.done {
            return Ok(Ahead::End);
        }
        if self.leaves.is_empty() {
            self.leaves = ends.leaves(self.side).await?;
        }
        loop {
            if let Some(number) = place.leaf {
                let Some(leaf) = self.leaves.iter_mut().find(|leaf| leaf.number == number) else {
                    return Ok(Ahead::Moved);
                };
                if place.page >= leaf.pages {
                    leaf.pages = ends.pages(self.side, number).await?;
                }
                if place.page < leaf.pages {
                    let to = leaf.pages.min(place.page + self.pages);
                    return Ok(Ahead::Pages(PageRange { leaf: leaf.table.clone(), from: place.page, to }));
                }
            }
            let is_ahead = |leaf: &&Leaf| place.leaf.is_none_or(|number| leaf.number > number);
            if !self.leaves.iter().any(|leaf| is_ahead(&leaf)) {
                self.leaves = ends.leaves(self.side).await?;
                let begun = self.leaves.iter().filter(|leaf| !is_ahead(leaf));
                if begun.fold(0_u64, |all, leaf| all.wrapping_add(leaf.version)) != place.versions {
                    return Ok(Ahead::Moved);
                }
            }
            let Some(next) = self.leaves.iter().find(is_ahead) else { return Ok(Ahead::End) };
            if !next.readable {
                return Ok(Ahead::Moved);
            }
            (place.leaf, place.page, place.versions) =
                (Some(next.number), 0, place.versions.wrapping_add(next.version));
        }
    }

    /// Chooses how many pages the next statement reads, so that it takes about `time`.
    fn adapt(&mut self, range: &PageRange, took: Duration, time: Option<Duration>) {
        let Some(time) = time else { return };
        let pages = range.to - range.from;
        let next = super::limits::scaled(pages, took, time);
        // The rest of a leaf says nothing about more.
        if pages >= self.pages || next < self.pages {
            self.pages = next.clamp(1, MOST);
        }
    }
}

fn pass(place: &mut Place, range: &PageRange) {
    place.page = range.to;
    place.read += range.to - range.from;
}
