//! The one writer of a mirror: makes the target have what the source has.
//!
//! ```text
//!   read 1 ──► write 1 ──► write 2 ──► write 3 …
//!              read 2      read 3
//! ```
//!
//! A batch goes in pieces: while one is written, the rows of the next are read. No two pieces of a batch have a key in common, and
//! the next batch begins when all of them are committed, so that each key is written in the order in which it was read. What
//! changes after it was read is in the log behind the batch. Whatever had to wait for the limits of the target is read anew, so
//! that the target is not given rows that have long been gone. A crash leaves the pieces that were committed; the batch is repeated.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::{BoxFuture, join};
use lfk_core::parts::{Batch, Class, Converge, Key, Pace, Point, SweepEnd, Tally, classify, sort_unique};
use lfk_core::{Error, Result};

use super::bisect::{After, Piece};
use super::portion::{LEAST, Portion};
use super::source::{self, SourceRow, Truth};
use super::target::{Writer, Written};
use super::{blame, fill};

/// What was read longer ago is read anew before it is written. Most of the pages that are read ahead wait for less, as the page
/// before them should take 100 ms and a few round trips; and a row that is gone meanwhile is seen in the target no longer than by
/// a write that is a little slow. Counted from the end of the reading, which would take no less time once more.
const FRESH: Duration = Duration::from_millis(500);
/// What was refused one after the other, with nothing written in between, before rights and schema are asked about again: more than
/// it takes to find one row in the largest page.
const REFUSALS: u32 = 16;

/// Makes the target have what the source has, for the holder of the lease.
pub(super) struct Keeper<'a> {
    pub(super) writer: Writer<'a>,
    pub(super) portion: &'a Portion,
}

/// A batch at work.
struct Work {
    /// Handed out from the end.
    pieces: Vec<Piece>,
    tally: Tally,
    /// Pieces that were denied something since rows were written, or since rights and schema were known to do.
    refusals: u32,
    /// A key of the last piece that went well.
    well: Option<Key>,
    denied_before: HashSet<Key>,
}

/// A piece, and how its keys were in the source a moment ago.
struct Seen {
    piece: Piece,
    truth: Result<Truth>,
    /// When it had been read, and how long that took.
    at: Instant,
    took: Duration,
}

impl Keeper<'_> {
    /// Works until every key is done or set aside.
    ///
    /// # Errors
    /// What ends the batch: a database that is away, what is missing for every row, a lost lease, a pause.
    pub(super) async fn converge(&self, batch: Batch) -> Result<Tally> {
        let Batch { mut keys, repairs, denied_before, .. } = batch;
        sort_unique(&mut keys);
        let pieces = vec![Piece::new(keys)];
        let mut work = Work { pieces, tally: Tally::default(), refusals: 0, well: None, denied_before };
        let mut ahead: Option<Seen> = None;
        loop {
            self.go_on()?;
            let seen = match ahead.take() {
                Some(seen) => seen,
                None => match self.next_piece(&mut work) {
                    Some(piece) => self.look(piece).await,
                    None => return Ok(work.tally),
                },
            };
            let Seen { piece, truth, took, .. } = self.admitted(seen).await?;
            let error = match truth {
                Ok(truth) => {
                    let next = self.next_piece(&mut work);
                    let (written, seen) =
                        join(self.write_piece(&piece.keys, &truth, &repairs, took), self.look_if_any(next)).await;
                    ahead = seen;
                    match written {
                        Ok(rows) => {
                            work.went_well(&piece, rows);
                            if !truth.rest.is_empty() {
                                work.pieces.push(Piece::new(truth.rest));
                            }
                            continue;
                        }
                        Err(error) => error,
                    }
                }
                Err(error) => error,
            };
            // What failed may take long to sort out: the next piece is read anew after it.
            if let Some(seen) = ahead.take_if(|seen| seen.truth.is_ok()) {
                work.pieces.push(seen.piece);
            }
            self.sort_out(&mut work, piece, error).await?;
        }
    }

    /// Decides what becomes of a piece that failed.
    async fn sort_out(&self, work: &mut Work, piece: Piece, error: Error) -> Result<()> {
        if classify(&error) == Class::Slow {
            self.portion.timed_out(piece.keys.len());
        }
        let excused = work.excuses(&piece);
        if classify(&error) == Class::Block {
            work.refusals += 1;
        }
        match piece.after(&error, excused) {
            After::Fail => return Err(error),
            After::Doubt(piece) => {
                if !blame::is_of_single_rows(self, &piece.keys, work.well.as_ref()).await? {
                    return Err(blame::with_remedy(error, self.writer.mirror));
                }
                work.refusals = 0;
                work.pieces.push(piece.excused());
            }
            // The stack hands out the last first.
            After::Again(pieces) => work.pieces.extend(pieces.into_iter().rev()),
            After::SetAside(keys, reason) => work.tally.set_aside(keys, reason, &error),
        }
        Ok(())
    }

    /// How many rows go at once: those that are paid for in about a second, so that a turn ends in time.
    pub(super) fn rows(&self) -> usize {
        self.portion.rows().min(self.affordable())
    }

    fn affordable(&self) -> usize {
        self.writer.turn.limiter().most_rows().max(LEAST)
    }

    /// As many keys as go at once.
    fn next_piece(&self, work: &mut Work) -> Option<Piece> {
        let (piece, rest) = work.pieces.pop()?.at_most(self.rows());
        work.pieces.extend(rest);
        Some(piece)
    }

    async fn look_if_any(&self, piece: Option<Piece>) -> Option<Seen> {
        match piece {
            Some(piece) => Some(self.look(piece).await),
            None => None,
        }
    }

    async fn look(&self, piece: Piece) -> Seen {
        let Writer { turn, sql, .. } = &self.writer;
        let began = Instant::now();
        let mut truth = match self.go_on() {
            Ok(()) => source::read(turn.home(), sql, &piece.keys).await,
            Err(error) => Err(error),
        };
        let (at, took) = (Instant::now(), began.elapsed());
        if truth.is_ok()
            && let Err(error) = turn.pass(Point::SourceRead).await
        {
            truth = Err(error);
        }
        Seen { piece, truth, at, took }
    }

    /// Waits until its rows may be written, and looks at them once more if that, or what came before, has taken long.
    async fn admitted(&self, seen: Seen) -> Result<Seen> {
        if seen.truth.is_err() {
            return Ok(seen);
        }
        let turn = self.writer.turn;
        turn.limiter().statement(turn.stop()).await;
        self.go_on()?;
        Ok(if seen.at.elapsed() > FRESH { self.look(seen.piece).await } else { seen })
    }

    /// Reads and writes these keys alone. Answers the rows that were written or deleted.
    ///
    /// # Errors
    /// As reading and writing.
    pub(super) async fn attempt(&self, keys: &[Key]) -> Result<u64> {
        let seen = self.look(Piece::new(keys.to_vec())).await;
        let Seen { truth, took, .. } = self.admitted(seen).await?;
        self.write(&truth?, &[], took).await
    }

    /// Writes those of the keys that were read.
    async fn write_piece(&self, keys: &[Key], truth: &Truth, repairs: &HashSet<Key>, read: Duration) -> Result<u64> {
        let repairs: Vec<Key> = if repairs.is_empty() {
            Vec::new()
        } else {
            let rest: HashSet<&Key> = truth.rest.iter().collect();
            keys.iter().filter(|key| repairs.contains(*key) && !rest.contains(key)).cloned().collect()
        };
        self.write(truth, &repairs, read).await
    }

    /// Writes what was read, and learns from it and from how long the reading took.
    ///
    /// # Errors
    /// As [`Writer::write`].
    pub(super) async fn write(&self, truth: &Truth, repairs: &[Key], read: Duration) -> Result<u64> {
        let turn = self.writer.turn;
        let Written { rows, took } = self.writer.write(truth, repairs).await?;
        let keys = truth.present.len() + truth.absent.len();
        let bytes = truth.present.iter().map(SourceRow::bytes).sum();
        self.portion.took(keys, bytes, read, took);
        turn.limiter().rows(rows, turn.stop()).await;
        Ok(rows)
    }

    /// Stops between two batches when the engine stops. What was committed stays; the batch is repeated later.
    pub(super) fn go_on(&self) -> Result<()> {
        self.writer.turn.go_on()
    }
}

impl Work {
    fn went_well(&mut self, piece: &Piece, rows: u64) {
        self.tally.rows += rows;
        self.well = piece.keys.first().cloned();
        // Where all rows were there already, little was said of the target.
        if rows > 0 {
            self.refusals = 0;
        }
    }

    /// Whether single rows are to blame if this piece is denied something, and not a right or a column that is missing for all. What
    /// went well before it was denied is no proof: either may have gone missing since.
    fn excuses(&self, piece: &Piece) -> bool {
        piece.is_excused() && self.refusals < REFUSALS || piece.keys.iter().all(|key| self.denied_before.contains(key))
    }
}

impl Converge for Keeper<'_> {
    fn width(&self) -> usize {
        self.writer.sql.width
    }

    fn batch(&self, _: &Pace) -> usize {
        self.portion.keys().min(self.affordable())
    }

    fn converge<'b>(&'b self, batch: Batch, _: &'b mut Pace) -> BoxFuture<'b, Result<Tally>> {
        self.converge(batch).boxed()
    }

    fn sweep<'b>(&'b self, is_over: &'b (dyn Fn() -> bool + Send + Sync)) -> BoxFuture<'b, Result<(SweepEnd, u64)>> {
        async move {
            fill::begin(&self.writer).await?;
            fill::go_on(self, is_over).await
        }
        .boxed()
    }

    fn spare<'b>(&'b self, _: &'b mut Pace, share: Duration) -> BoxFuture<'b, Result<u64>> {
        async move {
            let began = Instant::now();
            fill::go_on(self, &|| began.elapsed() >= share || self.writer.turn.stop().is_cancelled())
                .await
                .map(|(_, rows)| rows)
        }
        .boxed()
    }
}
