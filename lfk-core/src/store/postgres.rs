//! Positions in `lfk.position` of a database.

use futures::FutureExt as _;
use futures::future::BoxFuture;
use lfk_sql::statements;
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::{CursorStore, Stored, check_name, check_value, new_version};
use crate::database::{Database, Purpose};
use crate::error::{Error, Result};
use crate::pair;

/// Keeps positions in schema `lfk` of a database: the default, because it is there wherever lfk is installed, and outlives
/// everything else. Each call is one short transaction.
#[derive(Debug, Clone)]
pub struct PostgresStore {
    database: Database,
}

impl PostgresStore {
    /// A store in this database, which must have schema `lfk` when it is used. Touches no network.
    #[must_use]
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    async fn load_row(&self, name: &str) -> Result<Option<Stored>> {
        check_name(name)?;
        let mut tx = self.database.begin(Purpose::Log).await?;
        let row = tx.query(statements::LOAD_POSITION).bind(name).fetch_optional(tx.conn()).await;
        let row = row.map_err(|e| pair::missing(&self.database, e))?;
        tx.commit().await?;
        let stored =
            |row: PgRow| Stored { value: row.get("value"), version: row.get::<i64, _>("version").unsigned_abs() };
        Ok(row.map(stored))
    }

    async fn save_row(&self, name: &str, value: &str, expected: Option<u64>) -> Result<Option<u64>> {
        check_name(name)?;
        check_value(value)?;
        let expected = match expected.map(i64::try_from) {
            None => None,
            Some(Ok(version)) => Some(version),
            // No row has a version that does not fit.
            Some(Err(_)) => return Ok(None),
        };
        let version = new_version();
        let drawn = i64::try_from(version).map_err(|_| Error::config("a version does not fit into a bigint"))?;
        let mut tx = self.database.begin(Purpose::Log).await?;
        let query = match expected {
            None => tx.query(statements::INSERT_POSITION).bind(name).bind(value).bind(drawn),
            Some(expected) => tx.query(statements::MOVE_POSITION).bind(name).bind(value).bind(drawn).bind(expected),
        };
        let done = query.execute(tx.conn()).await.map_err(|e| pair::missing(&self.database, e))?;
        tx.commit().await?;
        Ok((done.rows_affected() == 1).then_some(version))
    }

    async fn forget_row(&self, name: &str) -> Result<()> {
        check_name(name)?;
        let mut tx = self.database.begin(Purpose::Log).await?;
        let done = tx.query(statements::FORGET_POSITION).bind(name).execute(tx.conn()).await;
        done.map_err(|e| pair::missing(&self.database, e))?;
        tx.commit().await
    }
}

impl CursorStore for PostgresStore {
    fn load<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Option<Stored>>> {
        self.load_row(name).boxed()
    }

    fn save<'a>(&'a self, name: &'a str, value: &'a str, expected: Option<u64>) -> BoxFuture<'a, Result<Option<u64>>> {
        self.save_row(name, value, expected).boxed()
    }

    fn forget<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<()>> {
        self.forget_row(name).boxed()
    }
}
