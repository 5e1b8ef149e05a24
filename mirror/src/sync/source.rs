//! Reading the source: what the target is to have.

use futures::TryStreamExt as _;
use lfk_core::parts::{Key, Purpose, Tx};
use lfk_core::{Database, Error, ErrorKind, Result};
use lfk_sql::statements;
use sqlx::Row as _;

use super::portion::PAGE_BYTES;
use super::statements::Statements;

/// A row of the source as the target is to have it: its key and the mirrored values, as text.
#[derive(Debug, Clone)]
pub(crate) struct SourceRow {
    pub(crate) key: Key,
    pub(crate) values: Vec<Option<String>>,
}

impl SourceRow {
    /// What its texts take in memory.
    pub(crate) fn bytes(&self) -> usize {
        let texts = self.key.0.iter().chain(self.values.iter().flatten());
        texts.map(String::len).sum()
    }
}

/// How the keys of a batch are in the source.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    pub(crate) present: Vec<SourceRow>,
    pub(crate) absent: Vec<Key>,
    /// Keys whose rows were not read any more: those before them fill the page.
    pub(crate) rest: Vec<Key>,
}

/// The next rows in the order of the key.
#[derive(Debug, Default)]
pub(crate) struct NextRows {
    pub(crate) rows: Vec<SourceRow>,
    /// Whether more may follow.
    pub(crate) more: bool,
}

/// Reads the rows of these keys as they are now, until there are [`PAGE_BYTES`] of them. Each is taken from the wire by itself, so
/// that no more than that is ever held.
///
/// # Errors
/// When the source fails, is a standby, or does not answer for every key.
pub(crate) async fn read(source: &Database, sql: &Statements, keys: &[Key]) -> Result<Truth> {
    let mut tx = source.begin(Purpose::Check).await?;
    let mut query = tx.query(sql.read.clone().into_sql_str());
    for column in Key::by_column(keys, sql.width) {
        query = query.bind(column);
    }
    let mut answers: Vec<Option<Option<SourceRow>>> = vec![None; keys.len()];
    let mut bytes = 0;
    let mut rows = query.fetch(tx.conn());
    while bytes < PAGE_BYTES
        && let Some(row) = rows.try_next().await.map_err(|e| source.error(e))?
    {
        let ord: i64 = row.get("ord");
        let at = usize::try_from(ord - 1).map_err(|_| unanswered(source))?;
        let (Some(key), Some(answer)) = (keys.get(at), answers.get_mut(at)) else { return Err(unanswered(source)) };
        let values: Option<Vec<Option<String>>> = row.get("values");
        let found = values.map(|values| SourceRow { key: key.clone(), values });
        bytes += found.as_ref().map_or(0, SourceRow::bytes);
        *answer = Some(found);
    }
    drop(rows);
    let full = bytes >= PAGE_BYTES;
    if !full {
        // Otherwise the server is left with what it has still to say: the transaction only reads.
        tx.commit().await?;
    }
    let mut truth = Truth::default();
    for (key, answer) in keys.iter().zip(answers) {
        match answer {
            None if full => truth.rest.push(key.clone()),
            None => return Err(unanswered(source)),
            Some(None) => truth.absent.push(key.clone()),
            Some(Some(row)) => truth.present.push(row),
        }
    }
    Ok(truth)
}

/// Reads the next rows in the order of the key, `limit` at most and until there are [`PAGE_BYTES`] of them.
///
/// # Errors
/// When the source fails.
pub(crate) async fn next(source: &Database, sql: &Statements, behind: Option<&Key>, limit: usize) -> Result<NextRows> {
    let mut tx = begin_on_primary(source).await?;
    let statement = if behind.is_some() { &sql.next_rows } else { &sql.first_rows };
    let mut query = tx.query(statement.clone().into_sql_str());
    for column in behind.iter().flat_map(|key| &key.0) {
        query = query.bind(column);
    }
    let mut page = NextRows::default();
    let mut bytes = 0;
    let mut rows = query.bind(i64::try_from(limit).unwrap_or(i64::MAX)).fetch(tx.conn());
    while bytes < PAGE_BYTES
        && let Some(row) = rows.try_next().await.map_err(|e| source.error(e))?
    {
        let row = SourceRow { key: Key(row.get("key")), values: row.get("values") };
        bytes += row.bytes();
        page.rows.push(row);
    }
    drop(rows);
    let full = bytes >= PAGE_BYTES;
    if !full {
        tx.commit().await?;
    }
    page.more = full || page.rows.len() >= limit;
    Ok(page)
}

/// Reads the next keys only, filtered or not.
///
/// # Errors
/// When the source fails.
pub(crate) async fn next_keys(
    source: &Database,
    sql: &Statements,
    behind: Option<&Key>,
    limit: usize,
) -> Result<Vec<Key>> {
    let mut tx = begin_on_primary(source).await?;
    let statement = if behind.is_some() { &sql.next_source_keys } else { &sql.first_source_keys };
    let mut query = tx.query(statement.clone().into_sql_str());
    for column in behind.iter().flat_map(|key| &key.0) {
        query = query.bind(column);
    }
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = query.bind(limit).fetch_all(tx.conn()).await.map_err(|e| source.error(e))?;
    tx.commit().await?;
    Ok(rows.iter().map(|row| Key(row.get("key"))).collect())
}

/// A standby may not have the newest row yet, and what it says must not be written over what is there.
async fn begin_on_primary(source: &Database) -> Result<Tx> {
    let mut tx = source.begin(Purpose::Check).await?;
    let standby: bool =
        tx.query_scalar(statements::IS_STANDBY).fetch_one(tx.conn()).await.map_err(|e| source.error(e))?;
    if standby { Err(unanswered(source)) } else { Ok(tx) }
}

fn unanswered(source: &Database) -> Error {
    Error::new(ErrorKind::Refused, "the source does not answer for every key: it is a standby")
        .in_database(source.name())
        .with_hint("point the url to the primary")
}
