//! Reading the source: what the target is to have.

use lfk_core::parts::{Key, Purpose, Tx};
use lfk_core::{Database, Error, ErrorKind, Result};
use lfk_sql::statements;
use sqlx::Row as _;

use super::statements::Statements;

/// A row of the source as the target is to have it: its key and the mirrored values, as text.
#[derive(Debug, Clone)]
pub(crate) struct SourceRow {
    pub(crate) key: Key,
    pub(crate) values: Vec<Option<String>>,
}

/// How the keys of a batch are in the source.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    pub(crate) present: Vec<SourceRow>,
    pub(crate) absent: Vec<Key>,
}

/// Reads the rows of these keys as they are now.
///
/// # Errors
/// When the source fails, is a standby, or does not answer for every key.
pub(crate) async fn read(source: &Database, sql: &Statements, keys: &[Key]) -> Result<Truth> {
    let mut tx = source.begin(Purpose::Check).await?;
    let mut query = tx.query(sql.read.clone().into_sql_str());
    for column in Key::by_column(keys, sql.width) {
        query = query.bind(column);
    }
    let rows = query.fetch_all(tx.conn()).await.map_err(|e| source.error(e))?;
    tx.commit().await?;
    let mut answers: Vec<Option<Option<Vec<Option<String>>>>> = vec![None; keys.len()];
    for row in rows {
        let ord: i64 = row.get("ord");
        let answer = usize::try_from(ord - 1).ok().and_then(|at| answers.get_mut(at));
        *answer.ok_or_else(|| unanswered(source))? = Some(row.get("values"));
    }
    let mut truth = Truth::default();
    for (key, answer) in keys.iter().zip(answers) {
        match answer {
            None => return Err(unanswered(source)),
            Some(None) => truth.absent.push(key.clone()),
            Some(Some(values)) => truth.present.push(SourceRow { key: key.clone(), values }),
        }
    }
    Ok(truth)
}

/// Reads the next rows in the order of the key.
///
/// # Errors
/// When the source fails.
pub(crate) async fn next(
    source: &Database,
    sql: &Statements,
    behind: Option<&Key>,
    limit: i64,
) -> Result<Vec<SourceRow>> {
    let mut tx = begin_on_primary(source).await?;
    let statement = if behind.is_some() { &sql.next_rows } else { &sql.first_rows };
    let mut query = tx.query(statement.clone().into_sql_str());
    for column in behind.iter().flat_map(|key| &key.0) {
        query = query.bind(column);
    }
    let rows = query.bind(limit).fetch_all(tx.conn()).await.map_err(|e| source.error(e))?;
    tx.commit().await?;
    Ok(rows.iter().map(|row| SourceRow { key: Key(row.get("key")), values: row.get("values") }).collect())
}

/// Reads the next keys only, filtered or not.
///
/// # Errors
/// When the source fails.
pub(crate) async fn next_keys(
    source: &Database,
    sql: &Statements,
    behind: Option<&Key>,
    limit: i64,
) -> Result<Vec<Key>> {
    let mut tx = begin_on_primary(source).await?;
    let statement = if behind.is_some() { &sql.next_source_keys } else { &sql.first_source_keys };
    let mut query = tx.query(statement.clone().into_sql_str());
    for column in behind.iter().flat_map(|key| &key.0) {
        query = query.bind(column);
    }
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
