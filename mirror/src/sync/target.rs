//! Writing the target: one transaction a piece of a batch, behind the fence.
//!
//! The fence row in the target's database is authoritative for who may write. A crash before the commit leaves nothing; after it
//! the batch is repeated and writes nothing.

use std::time::{Duration, Instant};

use lfk_core::parts::{Key, Lease, Point, Purpose, Turn, Tx};
use lfk_core::{Error, ErrorKind, Result, State};
use lfk_sql::statements;
use sqlx::Row as _;
use uuid::Uuid;

use super::source::{SourceRow, Truth};
use super::statements::Statements;

/// Writes for the holder of a lease.
pub(crate) struct Writer<'a> {
    pub(crate) turn: &'a Turn<'a>,
    pub(crate) lease: &'a Lease,
    pub(crate) mirror: &'a str,
    pub(crate) source_identity: Uuid,
    /// The table, quoted.
    pub(crate) target: String,
    pub(crate) sql: Statements,
}

/// The fence as it stands.
#[derive(Debug, Clone, Copy)]
struct Fence {
    token: i64,
    /// Whether it was raised for another table of the same name.
    another: bool,
}

/// What was written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Written {
    /// Rows that were written or deleted.
    pub(crate) rows: u64,
    /// How long the server worked on them.
    pub(crate) took: Duration,
}

impl Writer<'_> {
    /// Keeps every older writer out, once a turn, before the first read of the source. A target that another table has taken the
    /// place of is filled anew; and so is one whose fence is of a past that the source's database has lost ([`Lease::outrank`]).
    ///
    /// # Errors
    /// Lease lost, when a newer writer has been here; held, while an older one is still writing.
    pub(crate) async fn raise_fence(&self) -> Result<()> {
        let fence = self.read_fence().await?;
        if fence.is_some_and(|fence| fence.another) {
            self.fill_the_new_target().await?;
        }
        if !self.try_raise().await? {
            let fence = self.read_fence().await?.ok_or_else(|| self.lease.lose())?;
            self.lease.outrank(fence.token).await?;
            if !self.try_raise().await? {
                return Err(self.lease.lose());
            }
        }
        self.turn.pass(Point::FenceRaised).await
    }

    async fn read_fence(&self) -> Result<Option<Fence>> {
        let away = self.turn.away();
        let mut tx = away.begin(Purpose::Log).await?;
        let read = tx.query(statements::READ_FENCE).bind(self.mirror).bind(self.source_identity);
        let row = read.bind(&self.target).fetch_optional(tx.conn()).await.map_err(|e| away.error(e))?;
        tx.commit().await?;
        Ok(row.map(|row| Fence { token: row.get("token"), another: row.get("another") }))
    }

    /// Before the fence is raised for it: a crash in between asks once more.
    async fn fill_the_new_target(&self) -> Result<()> {
        let home = self.turn.home();
        let mut tx = home.begin(Purpose::Log).await?;
        self.lease.hold(&mut tx).await?;
        let fill = tx.query(statements::BEGIN_FILL).bind(self.lease.consumer()).bind(true);
        fill.execute(tx.conn()).await.map_err(|e| home.error(e))?;
        let note = tx.query(statements::NOTE_TARGET).bind(self.mirror);
        note.execute(tx.conn()).await.map_err(|e| home.error(e))?;
        tx.commit().await?;
        let (mirror, database) = (self.mirror, self.turn.away().name());
        tracing::warn!(mirror, database, "another table has taken the place of the target; it is filled anew");
        Ok(())
    }

    /// False when the fence is as high already.
    async fn try_raise(&self) -> Result<bool> {
        let away = self.turn.away();
        let mut tx = away.begin(Purpose::Log).await?;
        let raised = tx
            .query(statements::RAISE_FENCE)
            .bind(self.mirror)
            .bind(self.source_identity)
            .bind(self.lease.token())
            .bind(&self.target)
            .execute(tx.conn())
            .await
            .map_err(|e| self.about_fence(e, "an older writer holds the fence of the target, for 5 s at most"))?;
        tx.commit().await?;
        Ok(raised.rows_affected() > 0)
    }

    /// Nobody of the application has this row locked, and no key is to blame.
    fn about_fence(&self, error: sqlx::Error, what: &str) -> Error {
        let error = self.error(error);
        if error.sqlstate().as_deref() != Some("55P03") {
            return error;
        }
        let mut held = Error::new(ErrorKind::Held, what).in_database(self.turn.away().name());
        held.source = error.source;
        held.for_definition(self.mirror)
    }

    /// Makes the target have what the source has.
    ///
    /// # Errors
    /// Nothing was written then.
    pub(crate) async fn write(&self, truth: &Truth, repairs: &[Key]) -> Result<Written> {
        self.may_write().await?;
        let away = self.turn.away();
        let mut tx = away.begin(Purpose::Write).await?;
        self.turn.pass(Point::WriteBegun).await?;
        let began = Instant::now();
        self.hold_fence(&mut tx).await?;
        // Next to nothing but the way there and back.
        let (way, began) = (began.elapsed(), Instant::now());
        let mut ways = 0;
        if !repairs.is_empty() {
            self.keep_before(&mut tx, repairs).await?;
        }
        let mut rows = 0;
        if !truth.present.is_empty() {
            rows += self.upsert(&mut tx, &truth.present).await?;
            ways += 1;
        }
        if !truth.absent.is_empty() {
            rows += self.delete(&mut tx, &truth.absent).await?;
            ways += 1;
        }
        let took = began.elapsed().saturating_sub(way * ways);
        self.turn.pass(Point::TargetUncommitted).await?;
        tx.commit().await?;
        self.turn.pass(Point::TargetWritten).await?;
        Ok(Written { rows, took })
    }

    /// Has the target judge both statements without a row, and undoes that: they are analysed, rights are judged, and triggers of
    /// whole statements run.
    ///
    /// # Errors
    /// What would fail whatever the rows are.
    pub(crate) async fn probe(&self) -> Result<()> {
        let mut tx = self.turn.away().begin(Purpose::Write).await?;
        self.hold_fence(&mut tx).await?;
        self.upsert(&mut tx, &[]).await?;
        self.delete(&mut tx, &[]).await?;
        drop(tx);
        Ok(())
    }

    /// The kill switch and a pause act before the next piece.
    async fn may_write(&self) -> Result<()> {
        let home = self.turn.home();
        let mut tx = home.begin(Purpose::Log).await?;
        let state = self.lease.guard(&mut tx).await?;
        tx.commit().await?;
        if state == State::Active {
            return Ok(());
        }
        Err(Error::new(ErrorKind::Paused, "it was paused or stopped").for_definition(self.mirror))
    }

    async fn hold_fence(&self, tx: &mut Tx) -> Result<()> {
        let held: Option<bool> = tx
            .query_scalar(statements::HOLD_FENCE)
            .bind(self.mirror)
            .bind(self.source_identity)
            .bind(self.lease.token())
            .fetch_optional(tx.conn())
            .await
            .map_err(|e| self.about_fence(e, "another writer is raising the fence of the target"))?;
        held.map(|_| ()).ok_or_else(|| self.lease.lose())
    }

    async fn keep_before(&self, tx: &mut Tx, keys: &[Key]) -> Result<()> {
        let mut query = tx.query(self.sql.keep_before.clone().into_sql_str());
        for column in Key::by_column(keys, self.sql.width) {
            query = query.bind(column);
        }
        let query = query.bind(self.mirror).bind(self.source_identity);
        query.execute(tx.conn()).await.map(|_| ()).map_err(|e| self.error(e))
    }

    async fn upsert(&self, tx: &mut Tx, rows: &[SourceRow]) -> Result<u64> {
        let mut query = tx.query(self.sql.upsert.clone().into_sql_str());
        for column in 0..self.sql.width {
            query = query.bind(rows.iter().map(|row| row.key.0[column].as_str()).collect::<Vec<_>>());
        }
        for column in 0..self.sql.values {
            query = query.bind(rows.iter().map(|row| row.values[column].as_deref()).collect::<Vec<_>>());
        }
        Ok(query.execute(tx.conn()).await.map_err(|e| self.error(e))?.rows_affected())
    }

    async fn delete(&self, tx: &mut Tx, keys: &[Key]) -> Result<u64> {
        let mut query = tx.query(self.sql.delete.clone().into_sql_str());
        for column in Key::by_column(keys, self.sql.width) {
            query = query.bind(column);
        }
        Ok(query.execute(tx.conn()).await.map_err(|e| self.error(e))?.rows_affected())
    }

    fn error(&self, error: sqlx::Error) -> Error {
        self.turn.away().error(error)
    }
}
