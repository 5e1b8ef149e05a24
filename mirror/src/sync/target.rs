//! Writing the target: one transaction a batch, behind the fence.
//!
//! The fence row in the target's database is authoritative for who may write. A crash before the commit leaves nothing; after it
//! the batch is repeated and writes nothing.

use lfk_core::parts::{Key, Lease, Point, Purpose, Turn, Tx};
use lfk_core::{Error, ErrorKind, Result, State};
use lfk_sql::statements;
use uuid::Uuid;

use super::source::{SourceRow, Truth};
use super::statements::Statements;

/// Writes for the holder of a lease.
pub(crate) struct Writer<'a> {
    pub(crate) turn: &'a Turn<'a>,
    pub(crate) lease: &'a Lease,
    pub(crate) mirror: &'a str,
    pub(crate) source_identity: Uuid,
    pub(crate) sql: Statements,
}

impl Writer<'_> {
    /// Keeps every older writer out, once a turn, before the first read of the source.
    ///
    /// # Errors
    /// Lease lost, when a newer writer has been here; a writer that still holds the fence makes it a lock that is not free.
    pub(crate) async fn raise_fence(&self) -> Result<()> {
        let away = self.turn.away();
        let mut tx = away.begin(Purpose::Log).await?;
        let raised = tx
            .query(statements::RAISE_FENCE)
            .bind(self.mirror)
            .bind(self.source_identity)
            .bind(self.lease.token())
            .execute(tx.conn())
            .await
            .map_err(|e| away.error(e))?;
        tx.commit().await?;
        if raised.rows_affected() == 0 {
            return Err(self.lease.lose());
        }
        self.turn.pass(Point::FenceRaised).await
    }

    /// Makes the target have what the source has. Answers the rows that were written or deleted.
    ///
    /// # Errors
    /// Nothing was written then.
    pub(crate) async fn write(&self, truth: &Truth, repairs: &[Key]) -> Result<u64> {
        self.may_write().await?;
        let away = self.turn.away();
        let mut tx = away.begin(Purpose::Write).await?;
        self.turn.pass(Point::WriteBegun).await?;
        self.hold_fence(&mut tx).await?;
        if !repairs.is_empty() {
            self.keep_before(&mut tx, repairs).await?;
        }
        let mut rows = 0;
        if !truth.present.is_empty() {
            rows += self.upsert(&mut tx, &truth.present).await?;
        }
        if !truth.absent.is_empty() {
            rows += self.delete(&mut tx, &truth.absent).await?;
        }
        self.turn.pass(Point::TargetUncommitted).await?;
        tx.commit().await?;
        self.turn.pass(Point::TargetWritten).await?;
        Ok(rows)
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

    /// The kill switch and a pause act before the next batch.
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
            .map_err(|e| self.error(e))?;
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
