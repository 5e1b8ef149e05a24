//! Reading ahead: while a chunk is compared, and while the other side is still reading, each server reads the next one.
//!
//! What was read ahead may be older than what the other side read, by the time of a chunk or two. So a row that was written in
//! between looks different, which a sandwich clears; and what is equal was equal when it was read, as ever.

use std::sync::Arc;
use std::time::{Duration, Instant};

use lfk_core::parts::Key;
use lfk_core::{Error, Result};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinSet;

use super::ends::{Digest, Ends, Range};
use crate::Side;

/// Something that one side answers for its next rows.
pub(crate) trait Part: Sized + Send + 'static {
    /// Of the rows of a range, at most `limit`.
    fn read(ends: &Ends, side: Side, range: Range<'_>, limit: i64) -> impl Future<Output = Result<Self>> + Send;

    /// The last key of a side that may have more; nothing: it has no more.
    fn end(&self, limit: i64) -> Option<Key>;
}

/// Rows in the order of the key, that can be taken in parts.
pub(crate) trait Lot: Part + Default {
    /// How many.
    fn len(&self) -> usize;

    /// How many count.
    fn counted(&self) -> usize;

    /// How much was sent for them; 0: not of interest.
    fn bytes(&self) -> usize;

    /// How many there are up to a key. Nothing: only the server knows, because the key is not here.
    fn up_to(&self, key: &Key) -> Option<usize>;

    /// Takes the first ones, and leaves the others.
    fn take(&mut self, rows: usize) -> Self;

    /// Adds the ones that come next.
    fn append(&mut self, next: Self);

    /// Keys whose rows are not the same on both sides. A row of the source that does not count is none.
    fn differing(source: &Self, target: &Self) -> Vec<Key>;
}

impl Part for Digest {
    async fn read(ends: &Ends, side: Side, range: Range<'_>, limit: i64) -> Result<Self> {
        ends.digest(side, ends.shapes.columns.order, range, limit).await
    }

    fn end(&self, limit: i64) -> Option<Key> {
        self.last.clone().filter(|_| self.read >= limit)
    }
}

/// The next rows of a side.
#[derive(Debug)]
pub(crate) struct Read<T> {
    pub(crate) part: T,
    /// The last key of a side that may have more; nothing: it has no more.
    pub(crate) end: Option<Key>,
    pub(crate) limit: i64,
    pub(crate) took: Duration,
}

/// One side, read part by part. Dropping it ends what is being read.
#[derive(Debug)]
pub(crate) struct Reader<T> {
    /// Limits of the parts that are to be read.
    asked: UnboundedSender<i64>,
    reads: UnboundedReceiver<Result<Read<T>>>,
    /// Parts asked for and not taken.
    due: usize,
    _task: JoinSet<()>,
}

impl<T: Part> Reader<T> {
    /// Begins behind a key.
    pub(crate) fn begin(ends: &Arc<Ends>, side: Side, after: Option<Key>) -> Self {
        let (asked, mut limits) = unbounded_channel();
        let (found, reads) = unbounded_channel();
        let (ends, mut after, mut task) = (Arc::clone(ends), after, JoinSet::new());
        task.spawn(async move {
            while let Some(limit) = limits.recv().await {
                let begun = Instant::now();
                let part = T::read(&ends, side, Range { after: after.as_ref(), up_to: None }, limit).await;
                let read = part.map(|part| Read { end: part.end(limit), part, limit, took: begun.elapsed() });
                after = read.as_ref().ok().and_then(|read| read.end.clone());
                if found.send(read).is_err() || after.is_none() {
                    break;
                }
            }
        });
        Self { asked, reads, due: 0, _task: task }
    }

    /// The next part, of at most so many rows, or as many as were asked for when it was read ahead. Not to be called behind the end.
    /// `ahead`: the one behind it is read as soon as this one is.
    ///
    /// # Errors
    /// When the database fails: then nothing more can be read.
    pub(crate) async fn next(&mut self, limit: i64, ahead: bool) -> Result<Read<T>> {
        while self.due < 1 + usize::from(ahead) {
            // It fails behind the end only, where nobody takes it.
            let _ = self.asked.send(limit);
            self.due += 1;
        }
        self.due -= 1;
        self.reads.recv().await.unwrap_or_else(|| Err(Error::refused("the check was ended while it was reading")))
    }
}

/// Rows of one side that are not compared yet.
#[derive(Debug)]
pub(crate) struct Rows<L> {
    reader: Reader<L>,
    left: L,
    /// The last key that was read; nothing: everything was read.
    pub(crate) end: Option<Key>,
    begun: bool,
}

impl<L: Lot> Rows<L> {
    /// Begins behind a key.
    pub(crate) fn begin(ends: &Arc<Ends>, side: Side, after: Option<Key>) -> Self {
        let reader = Reader::begin(ends, side, after);
        Self { reader, left: L::default(), end: None, begun: false }
    }

    /// Reads on unless enough rows are left. Answers limit and time of what was read.
    ///
    /// # Errors
    /// As [`Reader::next`].
    pub(crate) async fn fill(&mut self, limit: i64, ahead: bool) -> Result<Option<(i64, Duration)>> {
        let enough = i64::try_from(self.left.len()).is_ok_and(|rows| rows > limit / 2);
        if self.begun && (enough || self.end.is_none()) {
            return Ok(None);
        }
        let read = self.reader.next(limit, ahead).await?;
        self.begun = true;
        self.left.append(read.part);
        self.end = read.end;
        Ok(Some((read.limit, read.took)))
    }

    /// Takes the rows up to a key, or all. Nothing: where that is, only the server knows.
    pub(crate) fn take(&mut self, up_to: Option<&Key>) -> Option<L> {
        let rows = match up_to {
            Some(key) => self.left.up_to(key)?,
            None => self.left.len(),
        };
        Some(self.left.take(rows))
    }
}
