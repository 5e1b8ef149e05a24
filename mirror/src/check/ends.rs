//! Sending the statements of a check. Each runs in a short transaction of its own, but for the two halves of a sandwich.

use std::time::Duration;

use futures::TryFutureExt as _;
use lfk_core::parts::{Key, Purpose};
use lfk_core::{Database, Error, ErrorKind, Result};
use lfk_sql::{Sql, statements};
use sqlx::Row as _;

use super::listing::{Keys, Listing};
use super::shapes::{Bounds, HashForm, Shapes};
use crate::{Columns, Order, Side};

/// Both databases of a mirror, and what is sent there.
#[derive(Debug, Clone)]
pub(crate) struct Ends {
    pub(crate) source: Database,
    pub(crate) target: Database,
    pub(crate) shapes: Shapes,
    /// New in each pass: rows whose hashes happen to be equal are not equal again.
    pub(crate) seed: i64,
}

/// What one side has behind a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Digest {
    /// Rows read, whether they pass the filter or not.
    pub(crate) read: i64,
    pub(crate) sum: Sum,
    /// The last key that was read.
    pub(crate) last: Option<Key>,
}

/// How often something that passes is waited for before a check fails of it.
const MOST_TRIES: u32 = 6;

/// How long to wait before a statement is tried again that changed nothing: somebody held a table for a moment, or the server
/// was away. Nothing: the error is none of these, or it does not pass.
pub(crate) fn passes_in(error: &Error, tries: u32) -> Option<Duration> {
    let moment = matches!(error.sqlstate().as_deref(), Some("55P03" | "40001" | "40P01"));
    let passes = moment || error.kind == ErrorKind::Unreachable;
    (passes && tries < MOST_TRIES).then(|| Duration::from_millis(100 << tries.min(5)))
}

/// What is compared: equal sums, equal rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sum {
    /// Rows that count.
    pub(crate) rows: i64,
    pub(crate) xor: i64,
    pub(crate) low: i64,
}

/// A row of a listing. Without a hash it does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) key: Key,
    pub(crate) hash: Option<i64>,
}

/// Which part of the key order is meant.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Range<'a> {
    /// Behind this key; nothing: from the very first.
    pub(crate) after: Option<&'a Key>,
    /// Up to and with this one; nothing: to the very last.
    pub(crate) up_to: Option<&'a Key>,
}

impl Range<'_> {
    pub(crate) fn bounds(&self) -> Bounds {
        Bounds { after: self.after.is_some(), up_to: self.up_to.is_some() }
    }

    fn binds(&self) -> impl Iterator<Item = &str> {
        self.after.into_iter().chain(self.up_to).flat_map(|key| key.0.iter().map(String::as_str))
    }
}

impl Ends {
    /// Asks both servers to hash the same row, and chooses the form in which they agree.
    ///
    /// # Errors
    /// When a database cannot be reached.
    pub(crate) async fn new(source: &Database, target: &Database, columns: Columns, seed: i64) -> Result<Self> {
        let (here, there) = futures::try_join!(probe(source), probe(target))?;
        let form = if here == there { HashForm::Extended } else { HashForm::Sha };
        Ok(Self { source: source.clone(), target: target.clone(), shapes: Shapes::new(columns, form), seed })
    }

    pub(crate) fn database(&self, side: Side) -> &Database {
        if side == Side::Source { &self.source } else { &self.target }
    }

    pub(crate) async fn digest(&self, side: Side, order: Order, range: Range<'_>, limit: i64) -> Result<Digest> {
        let sql = self.shapes.digest(side, order, range.bounds());
        let rows = self.fetch(side, sql, range, limit).await?;
        let row = rows.first().ok_or_else(|| self.no_answer(side))?;
        let last: Option<Vec<Option<String>>> = row.get("last");
        Ok(Digest {
            read: row.get("read"),
            sum: Sum { rows: row.get("counted"), xor: row.get("xor"), low: row.get("sum") },
            last: last.and_then(|columns| columns.into_iter().collect::<Option<Vec<_>>>()).map(Key),
        })
    }

    pub(crate) async fn list(&self, side: Side, order: Order, range: Range<'_>, limit: i64) -> Result<Listing> {
        let rows = self.fetch(side, self.shapes.list(side, order, range.bounds()), range, limit).await?;
        let row = rows.first().ok_or_else(|| self.no_answer(side))?;
        let keys = if self.shapes.has_numbers() {
            Keys::Numbers(row.get::<Option<_>, _>("lfk_k1").unwrap_or_default())
        } else {
            let column = |n: usize| row.get::<Option<_>, _>(format!("lfk_k{n}").as_str()).unwrap_or_default();
            Keys::Texts((1..=self.shapes.width()).map(column).collect())
        };
        let hashes: Option<Vec<Option<i64>>> = row.get("hashes");
        Ok(Listing { keys, hashes: hashes.unwrap_or_default() })
    }

    async fn fetch(&self, side: Side, sql: Sql, range: Range<'_>, limit: i64) -> Result<Vec<sqlx::postgres::PgRow>> {
        let database = self.database(side);
        let mut tx = database.begin(Purpose::Check).await?;
        let mut query = tx.query(sql.into_sql_str()).bind(self.seed).bind(limit);
        for column in range.binds() {
            query = query.bind(column.to_owned());
        }
        let rows = query.fetch_all(tx.conn()).await.map_err(|e| database.error(e))?;
        tx.commit().await?;
        Ok(rows)
    }

    /// The hashes that one side has under these keys; nothing where it has no row that counts.
    pub(crate) async fn hashes(&self, side: Side, keys: &[Key]) -> Result<Vec<Option<i64>>> {
        let database = self.database(side);
        let mut tx = database.begin(Purpose::Check).await?;
        let mut query = tx.query(self.shapes.hash_keys(side).into_sql_str()).bind(self.seed);
        for column in Key::by_column(keys, self.shapes.width()) {
            query = query.bind(column);
        }
        let rows = query.fetch_all(tx.conn()).await.map_err(|e| database.error(e))?;
        tx.commit().await?;
        let mut hashes = vec![None; keys.len()];
        if rows.len() != keys.len() {
            return Err(self.no_answer(side));
        }
        for row in rows {
            let at = usize::try_from(row.get::<i64, _>("ord") - 1).unwrap_or(usize::MAX);
            *hashes.get_mut(at).ok_or_else(|| self.no_answer(side))? = row.get("hash");
        }
        Ok(hashes)
    }

    /// Which key comes first, by the server's own order.
    pub(crate) async fn compare(&self, one: &Key, other: &Key) -> Result<std::cmp::Ordering> {
        if self.shapes.has_numbers()
            && let (Some(one), Some(other)) = (number(one), number(other))
        {
            return Ok(one.cmp(&other));
        }
        let mut tx = self.source.begin(Purpose::Check).await?;
        let mut query = tx.query(self.shapes.compare_keys().into_sql_str());
        for column in one.0.iter().chain(&other.0) {
            query = query.bind(column);
        }
        let row = query.fetch_one(tx.conn()).await.map_err(|e| self.source.error(e))?;
        tx.commit().await?;
        Ok(match (row.get("same"), row.get("before")) {
            (true, _) => std::cmp::Ordering::Equal,
            (false, true) => std::cmp::Ordering::Less,
            (false, false) => std::cmp::Ordering::Greater,
        })
    }

    /// A standby, or a server that does not answer for each key.
    pub(crate) fn no_answer(&self, side: Side) -> Error {
        Error::refused("it does not answer for every key that was asked: it is a standby")
            .in_database(self.database(side).name())
            .with_hint("let the url lead to the primary")
    }
}

fn number(key: &Key) -> Option<i64> {
    key.0.first().and_then(|text| text.parse().ok())
}

async fn probe(database: &Database) -> Result<i64> {
    let mut tx = database.begin(Purpose::Check).await?;
    let hash = tx.query_scalar(statements::CHECK_PROBE_HASH);
    let hash = hash.fetch_one(tx.conn()).map_err(|e| database.error(e)).await?;
    tx.commit().await?;
    Ok(hash)
}
