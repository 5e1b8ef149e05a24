//! Finding orphans without a list of keys: after a TRUNCATE, a dropped partition or a gap in coverage.
//!
//! Every distinct child key is looked at, in the order of the index. A key without a parent is only a *suspect*: the parent
//! may be in a transaction that is still open, or be written a moment after its child. It goes to `lfk.retry`, is looked at
//! again when every transaction that ran at the first look has ended (the barrier) and `settle_after` has passed, and is
//! cleaned like any other key then.
//!
//! `lfk.sweep` is authoritative for the position and written together with the suspects, so a crash repeats one chunk. The
//! snapshot in it, taken before the first child was read, says for which markers the sweep stands once it is done; the second
//! sweep stands only for those of its window, which are older than `settle_after`.
//!
//! Both cursors of a definition sweep: a child that was inserted behind the position of the first sweep, by somebody who had
//! still seen its parent, is found by the second. Nothing else finds it: a marker has no keys that the second visit could
//! look at, and the wait of the suspects concerns only keys that the first sweep has seen. It costs one more sweep for each
//! window with markers, not one for each marker: a sweep stands for all that its snapshot sees.

use lfk_sql::statements;
use sqlx::Row as _;

use crate::clean::{Shape, Surveyor, absent_parents};
use crate::cursor::{Lease, Position};
use crate::database::{Database, Purpose};
use crate::definition::LooseForeignKey;
use crate::error::Result;
use crate::key::Key;
use crate::points::{Point, Points};

/// Child rows that are read for a chunk of distinct keys.
const CHUNK_ROWS: i64 = 5_000;

/// How a part of a sweep ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SweepEnd {
    /// Every child key was looked at.
    Done,
    /// The time was up: the position is stored.
    Interrupted,
}

/// What a sweep works with.
pub(crate) struct Sweep<'a> {
    pub(crate) definition: &'a LooseForeignKey,
    pub(crate) lease: &'a Lease,
    pub(crate) shape: &'a Shape,
    pub(crate) away: &'a Database,
    pub(crate) points: &'a Points,
}

/// A chunk of distinct child keys.
struct Chunk {
    keys: Vec<Key>,
    is_last: bool,
}

/// Whether a finished sweep stands for the marker at a position.
pub(crate) async fn is_swept(lease: &Lease, marker: Position) -> Result<bool> {
    let mut tx = lease.home.begin(Purpose::Log).await?;
    let swept: Option<bool> = tx
        .query_scalar(statements::IS_SWEPT)
        .bind(&lease.consumer)
        .bind(marker.xid.to_string())
        .fetch_optional(tx.conn())
        .await
        .map_err(|e| lease.home.error(e))?;
    tx.commit().await?;
    Ok(swept.unwrap_or(false))
}

impl Sweep<'_> {
    /// Sweeps until the end, or until `is_over`; one chunk at least.
    pub(crate) async fn run(&self, is_over: &(dyn Fn() -> bool + Send + Sync)) -> Result<SweepEnd> {
        let mut behind = self.begin().await?;
        self.pass(Point::SweepBegun).await?;
        loop {
            let chunk = self.read(behind.as_ref()).await?;
            self.pass(Point::SweepRead).await?;
            let absent = absent_parents(self.lease.into(), self.shape, &chunk.keys).await?;
            self.store(&chunk, &absent).await?;
            self.pass(Point::SweepStored).await?;
            if chunk.is_last {
                return Ok(SweepEnd::Done);
            }
            // Not before the first chunk: a turn that took its time to come here would get nowhere.
            if is_over() {
                return Ok(SweepEnd::Interrupted);
            }
            behind = chunk.keys.last().cloned();
        }
    }

    async fn begin(&self) -> Result<Option<Key>> {
        let mut tx = self.lease.home.begin(Purpose::Log).await?;
        self.lease.hold(&mut tx).await?;
        let behind: Option<Vec<String>> = tx
            .query_scalar(statements::BEGIN_SWEEP)
            .bind(&self.lease.consumer)
            .fetch_one(tx.conn())
            .await
            .map_err(|e| self.lease.home.error(e))?;
        tx.commit().await?;
        Ok(behind.map(Key))
    }

    async fn read(&self, behind: Option<&Key>) -> Result<Chunk> {
        let mut tx = self.away.begin(Purpose::Recheck).await?;
        let mut query = tx.query(self.shape.next_child_keys(behind.is_some()).into_sql_str());
        for column in behind.iter().flat_map(|key| &key.0) {
            query = query.bind(column);
        }
        let rows = query.bind(CHUNK_ROWS).fetch_all(tx.conn()).await.map_err(|e| self.away.error(e))?;
        // What was read is locked until the end of the transaction: it was the table that was installed, or nothing counts.
        let (shape, away, consumer) = (self.shape, self.away, self.lease.consumer.as_str());
        Surveyor { shape, away, consumer }.survey(&mut tx).await?;
        tx.commit().await?;
        let read: i64 = rows.first().map_or(0, |row| row.get("read"));
        Ok(Chunk { keys: rows.iter().map(|row| Key(row.get("key"))).collect(), is_last: read < CHUNK_ROWS })
    }

    /// The suspects and the position, or neither. The barrier is raised after the children were read.
    async fn store(&self, chunk: &Chunk, absent: &[Key]) -> Result<()> {
        let home = &self.lease.home;
        let error = |e| home.error(e);
        let mut tx = home.begin(Purpose::Log).await?;
        let barrier: String = tx.query_scalar(statements::RAISE_BARRIER).fetch_one(tx.conn()).await.map_err(error)?;
        tx.commit().await?;
        let mut tx = home.begin(Purpose::Log).await?;
        self.lease.hold(&mut tx).await?;
        if !absent.is_empty() {
            tx.query(statements::ADD_SUSPECTS)
                .bind(&self.lease.consumer)
                .bind(Key::flatten(absent))
                .bind(i64::try_from(self.shape.width()).unwrap_or(i64::MAX))
                .bind(self.definition.settle_after.as_secs_f64())
                .bind(barrier)
                .execute(tx.conn())
                .await
                .map_err(error)?;
        }
        tx.query(statements::MOVE_SWEEP)
            .bind(&self.lease.consumer)
            .bind(chunk.keys.last().map(|key| key.0.clone()))
            .bind(i64::try_from(chunk.keys.len()).unwrap_or(i64::MAX))
            .bind(i64::try_from(absent.len()).unwrap_or(i64::MAX))
            .bind(chunk.is_last)
            .execute(tx.conn())
            .await
            .map_err(error)?;
        self.pass(Point::SweepUncommitted).await?;
        tx.commit().await
    }

    async fn pass(&self, point: Point) -> Result<()> {
        self.points.pass(point, &self.lease.consumer).await
    }
}
