//! The one writer of a mirror: makes the target have what the source has.
//!
//! ```text
//!   read 1 ──► write 1 ──► write 2 ──► write 3 …
//!              read 2      read 3
//! ```
//!
//! A batch goes in pieces: while one is written, the rows of the next are read. No two pieces of a batch have a key in common, and
//! the next batch begins when all of them are committed, so that each key is written in the order in which it was read. What
//! changes after it was read is in the log behind the batch. A crash leaves the pieces that were committed; the batch is repeated.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::{BoxFuture, join};
use lfk_core::parts::{Batch, Class, Converge, Key, Pace, Point, SweepEnd, Tally, classify, sort_unique};
use lfk_core::{Error, Result};

use super::bisect::{After, Piece};
use super::portion::Portion;
use super::source::{self, SourceRow, Truth};
use super::target::{Writer, Written};
use super::{blame, fill};

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
    /// Whether rights and schema are known to do, although a row was denied something.
    excused: bool,
    denied_before: HashSet<Key>,
}

/// A piece, and how its keys were in the source a moment ago.
struct Seen {
    piece: Piece,
    truth: Result<Truth>,
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
        let mut work = Work { pieces: vec![Piece::new(keys)], tally: Tally::default(), excused: false, denied_before };
        let mut ahead: Option<Seen> = None;
        loop {
            self.go_on()?;
            let Seen { piece, truth, took } = match ahead.take() {
                Some(seen) => seen,
                None => match self.next_piece(&mut work) {
                    Some(piece) => self.look(piece).await,
                    None => return Ok(work.tally),
                },
            };
            let error = match truth {
                Ok(truth) => {
                    let next = self.next_piece(&mut work);
                    let (written, seen) =
                        join(self.write_piece(&piece.keys, &truth, &repairs, took), self.look_if_any(next)).await;
                    ahead = seen;
                    match written {
                        Ok(rows) => {
                            work.tally.rows += rows;
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
        let excused =
            work.excused || work.tally.rows > 0 || piece.keys.iter().all(|key| work.denied_before.contains(key));
        match piece.after(&error, excused) {
            After::Fail => return Err(error),
            After::Doubt(piece) => {
                if !blame::is_of_single_rows(self, &piece.keys).await? {
                    return Err(blame::with_remedy(error, self.writer.mirror));
                }
                work.excused = true;
                work.pieces.push(piece);
            }
            // The stack hands out the last first.
            After::Again(pieces) => work.pieces.extend(pieces.into_iter().rev()),
            After::SetAside(keys, reason) => work.tally.set_aside(keys, reason, &error),
        }
        Ok(())
    }

    /// As many keys as go at once.
    fn next_piece(&self, work: &mut Work) -> Option<Piece> {
        let (piece, rest) = work.pieces.pop()?.at_most(self.portion.rows());
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
        let began = Instant::now();
        let truth = self.read(&piece.keys).await;
        Seen { piece, truth, took: began.elapsed() }
    }

    async fn read(&self, keys: &[Key]) -> Result<Truth> {
        let Writer { turn, sql, .. } = &self.writer;
        self.go_on()?;
        let truth = source::read(turn.home(), sql, keys).await?;
        turn.pass(Point::SourceRead).await?;
        Ok(truth)
    }

    /// Reads and writes these keys alone. Answers the rows that were written or deleted.
    ///
    /// # Errors
    /// As reading and writing.
    pub(super) async fn attempt(&self, keys: &[Key]) -> Result<u64> {
        let began = Instant::now();
        let truth = self.read(keys).await?;
        self.write_piece(keys, &truth, &HashSet::new(), began.elapsed()).await
    }

    /// Writes those of the keys that were read.
    async fn write_piece(&self, keys: &[Key], truth: &Truth, repairs: &HashSet<Key>, read: Duration) -> Result<u64> {
        let turn = self.writer.turn;
        turn.limiter().statement(turn.stop()).await;
        self.go_on()?;
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

impl Converge for Keeper<'_> {
    fn width(&self) -> usize {
        self.writer.sql.width
    }

    fn batch(&self, _: &Pace) -> usize {
        self.portion.keys()
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
