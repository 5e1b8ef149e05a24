//! An open transaction: the only thing that a statement can be sent through.
//!
//! The server is authoritative for what it did. A transaction that is dropped is rolled back before its connection serves
//! anybody else; one whose answer did not come takes its connection along: the server rolls back when it notices, at the latest
//! when its own timeouts end.

use std::ops::ControlFlow;
use std::time::Duration;

use lfk_sql::statements;
use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::query::{Query, QueryAs, QueryScalar};
use sqlx::{FromRow, Postgres, SqlSafeStr, SqlStr};
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::bounded::{Bounded, Flight};
use super::lanes::Place;
use crate::error::{Error, Result};

/// How long a connection may take to become free again; after that it is closed.
const LET_GO: Duration = Duration::from_secs(3);

/// An open transaction. Dropping it rolls back.
pub struct Tx {
    /// None once it was given back.
    connection: Option<PoolConnection<Postgres>>,
    database: String,
    /// Whether the server keeps the statements of this connection from one transaction to the next.
    persistent: bool,
    /// How long an answer is waited for.
    patience: Duration,
    flight: Flight,
    /// Whether there is anything to roll back.
    open: bool,
    /// Given back after the connection.
    place: Option<Place>,
}

impl Tx {
    /// No transaction yet: that begins with [`Tx::open`].
    pub(super) fn new(
        connection: PoolConnection<Postgres>,
        database: &str,
        persistent: bool,
        patience: Duration,
        place: Option<Place>,
    ) -> Self {
        let database = database.to_owned();
        Self {
            connection: Some(connection),
            database,
            persistent,
            patience,
            flight: Flight::Landed,
            open: false,
            place,
        }
    }

    pub(super) async fn open(&mut self, opening: SqlStr) -> Result<(), sqlx::Error> {
        self.open = true;
        sqlx::raw_sql(opening).execute(self.conn()).await.map(|_| ())
    }

    /// The connection, for the queries that are made here. Each is given up when no answer comes in time.
    pub fn conn(&mut self) -> Bounded<'_> {
        Bounded::new(self.connection.as_deref_mut(), &mut self.flight, self.patience)
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
        sqlx::raw_sql(sql).execute(self.conn()).await.map(|_| ()).map_err(|e| Error::sql(&self.database, e))
    }

    /// Runs a `COPY … TO STDOUT`, and hands over what arrives, message by message, until it is told to break off. A message need
    /// not be a whole row. Unless the answer is read to its end without an error, the connection is closed with this transaction.
    ///
    /// # Errors
    /// When the server refuses, or no end comes in time.
    pub async fn copy_out(
        &mut self,
        sql: impl SqlSafeStr,
        take: impl FnMut(&[u8]) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, sqlx::Error> {
        self.conn().copy_out(sql.into_sql_str(), take).await
    }

    /// Holds the shape of the key log, so that no plan made from here on lacks a leaf. Before every statement that decides
    /// something by what the log does not hold.
    ///
    /// # Errors
    /// When somebody holds the log for longer than the transaction waits.
    pub async fn hold_log(&mut self) -> Result<(), sqlx::Error> {
        let hold = self.query(statements::HOLD_LOG);
        hold.execute(self.conn()).await.map(|_| ())
    }

    /// Commits.
    ///
    /// # Errors
    /// When the server says so. When no answer comes in time, nobody knows whether it was carried out.
    pub async fn commit(mut self) -> Result<()> {
        self.run(statements::COMMIT).await?;
        self.open = false;
        Ok(())
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        let (Some(mut connection), place) = (self.connection.take(), self.place.take()) else { return };
        let (Ok(runtime), false) = (Handle::try_current(), self.flight == Flight::Lost) else {
            // Closed without a word: a peer that has vanished would keep us waiting, and the place with us.
            drop(connection.detach());
            return;
        };
        let open = self.open;
        runtime.spawn(async move {
            // Before its answer, the driver reads what is left of one that nobody has waited for.
            let rolled_back = async {
                if open { sqlx::raw_sql(statements::ROLLBACK).execute(&mut *connection).await.is_ok() } else { true }
            };
            if matches!(timeout(LET_GO, rolled_back).await, Ok(true)) {
                // The driver's own way back, which it would take without a limit of time when the connection is dropped.
                let _ = timeout(LET_GO, connection.return_to_pool()).await;
            } else {
                drop(connection.detach());
            }
            drop(place);
        });
    }
}
