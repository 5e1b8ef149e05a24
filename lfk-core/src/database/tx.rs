//! An open transaction: the only thing that a statement can be sent through.

use sqlx::postgres::{PgArguments, PgConnection, PgRow};
use sqlx::query::{Query, QueryAs, QueryScalar};
use sqlx::{FromRow, Postgres, SqlSafeStr, Transaction};

use super::lanes::Place;
use crate::error::{Error, Result};

/// An open transaction. Dropping it rolls back.
pub struct Tx {
    inner: Transaction<'static, Postgres>,
    database: String,
    /// Whether the server keeps the statements of this connection from one transaction to the next.
    persistent: bool,
    /// Given back after the connection: the fields are dropped in this order.
    _place: Option<Place>,
}

impl Tx {
    pub(super) fn new(
        inner: Transaction<'static, Postgres>,
        database: &str,
        persistent: bool,
        place: Option<Place>,
    ) -> Self {
        Self { inner, database: database.to_owned(), persistent, _place: place }
    }

    /// The connection, for the queries that are made here.
    pub fn conn(&mut self) -> &mut PgConnection {
        &mut self.inner
    }

    /// A statement for this connection. Behind a transaction pooler nothing may be kept under a name: the next
    /// transaction is on another server connection, where the name means another client's statement. So statements are
    /// made here and nowhere else.
    pub fn query<'q>(&self, sql: impl SqlSafeStr) -> Query<'q, Postgres, PgArguments> {
        sqlx::query(sql).persistent(self.persistent)
    }

    /// As [`Tx::query`], for rows that become tuples.
    pub fn query_as<'q, O>(&self, sql: impl SqlSafeStr) -> QueryAs<'q, Postgres, O, PgArguments>
    where
        O: for<'r> FromRow<'r, PgRow>,
    {
        sqlx::query_as(sql).persistent(self.persistent)
    }

    /// As [`Tx::query`], for rows of one value.
    pub fn query_scalar<'q, O>(&self, sql: impl SqlSafeStr) -> QueryScalar<'q, Postgres, O, PgArguments>
    where
        (O,): for<'r> FromRow<'r, PgRow>,
    {
        sqlx::query_scalar(sql).persistent(self.persistent)
    }

    /// Runs SQL that returns nothing, several statements at once if need be.
    ///
    /// # Errors
    /// When the server refuses a statement.
    pub async fn run(&mut self, sql: impl SqlSafeStr) -> Result<()> {
        use sqlx::Executor as _;
        self.inner.execute(sqlx::raw_sql(sql)).await.map(|_| ()).map_err(|e| Error::sql(&self.database, e))
    }

    /// Holds the shape of the key log, so that no plan made from here on lacks a leaf. Before every statement that decides
    /// something by what the log does not hold.
    ///
    /// # Errors
    /// When somebody holds the log for longer than the transaction waits.
    pub async fn hold_log(&mut self) -> Result<(), sqlx::Error> {
        let hold = self.query(lfk_sql::statements::HOLD_LOG);
        hold.execute(self.conn()).await.map(|_| ())
    }

    /// Ends it for good.
    ///
    /// # Errors
    /// When the server says so, or did not answer: then nobody knows whether it was committed.
    pub async fn commit(self) -> Result<()> {
        self.inner.commit().await.map_err(|e| Error::sql(&self.database, e))
    }
}
