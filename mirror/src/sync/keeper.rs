//! The one writer of a mirror: makes the target have what the source has.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::BoxFuture;
use lfk_core::Result;
use lfk_core::parts::{Batch, Class, Converge, Key, Pace, Point, SweepEnd, Tally, classify, sort_unique};

use super::bisect::{After, Piece};
use super::portion::Portion;
use super::source::{self, SourceRow, Truth};
use super::target::Writer;
use super::{blame, fill};

/// Makes the target have what the source has, for the holder of the lease.
pub(super) struct Keeper<'a> {
    pub(super) writer: Writer<'a>,
    pub(super) portion: &'a Portion,
}

/// What one attempt came to.
pub(super) struct Attempt {
    pub(super) rows: u64,
    /// Keys that were not looked at, because the rows before them filled the page.
    pub(super) rest: Vec<Key>,
}

impl Keeper<'_> {
    /// Works until every key is done or set aside.
    ///
    /// # Errors
    /// What ends the batch: a database that is away, what is missing for every row, a lost lease, a pause.
    pub(super) async fn converge(&self, batch: Batch) -> Result<Tally> {
        let Batch { mut keys, repairs, denied_before } = batch;
        sort_unique(&mut keys);
        let mut tally = Tally::default();
        // Whether rights and schema are known to do, although a row was denied something.
        let mut excused = false;
        let mut work = vec![Piece::new(keys)];
        while let Some(piece) = work.pop() {
            self.go_on()?;
            let (piece, rest) = piece.at_most(self.portion.rows());
            work.extend(rest);
            let error = match self.attempt(&piece.keys, &repairs).await {
                Ok(Attempt { rows, rest }) => {
                    tally.rows += rows;
                    if !rest.is_empty() {
                        work.push(Piece::new(rest));
                    }
                    continue;
                }
                Err(error) => error,
            };
            if classify(&error) == Class::Slow {
                self.portion.timed_out(piece.keys.len());
            }
            let excused_now = excused || tally.rows > 0 || piece.keys.iter().all(|key| denied_before.contains(key));
            match piece.after(&error, excused_now) {
                After::Fail => return Err(error),
                After::Doubt(piece) => {
                    if !blame::is_of_single_rows(self, &piece.keys).await? {
                        return Err(blame::with_remedy(error, self.writer.mirror));
                    }
                    excused = true;
                    work.push(piece);
                }
                // The stack hands out the last first.
                After::Again(pieces) => work.extend(pieces.into_iter().rev()),
                After::SetAside(keys, reason) => tally.set_aside(keys, reason, &error),
            }
        }
        Ok(tally)
    }

    pub(super) async fn attempt(&self, keys: &[Key], repairs: &HashSet<Key>) -> Result<Attempt> {
        let Writer { turn, sql, .. } = &self.writer;
        turn.limiter().statement(turn.stop()).await;
        self.go_on()?;
        let truth = source::read(turn.home(), sql, keys).await?;
        turn.pass(Point::SourceRead).await?;
        let was_read = |key: &&Key| repairs.contains(*key) && !truth.rest.contains(key);
        let repairs: Vec<Key> = keys.iter().filter(was_read).cloned().collect();
        let rows = self.write(&truth, &repairs).await?;
        Ok(Attempt { rows, rest: truth.rest })
    }

    /// Writes what was read, and learns from it.
    ///
    /// # Errors
    /// As [`Writer::write`].
    pub(super) async fn write(&self, truth: &Truth, repairs: &[Key]) -> Result<u64> {
        let turn = self.writer.turn;
        let rows = self.writer.write(truth, repairs).await?;
        self.portion.took(truth.present.len(), truth.present.iter().map(SourceRow::bytes).sum());
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
