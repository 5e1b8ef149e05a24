//! What the catalogs of one database say of the columns of a mirror.

use lfk_core::parts::{Purpose, Tx};
use lfk_core::{Database, Error, Result};
use lfk_sql::{Ident, Sql, TableName, statements};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

/// One column, down to what its domain is made of.
#[derive(Debug, Clone)]
pub(super) struct Found {
    pub table_id: i64,
    pub name: String,
    /// As people write it.
    pub declared: String,
    /// The type of the column itself, with its schema and without a length.
    pub own_type: String,
    /// `pg_type.typname` behind every domain.
    pub base: String,
    /// With length or precision.
    pub base_declared: String,
    pub has_modifier: bool,
    /// Whether every database of every server knows it, down to its elements.
    pub built_in: bool,
    /// `pg_type.typname` of an array's elements.
    pub element: Option<String>,
    /// The function of `pg_catalog` that gives its binary form.
    pub send: Option<String>,
    pub not_null: bool,
    pub deterministic: bool,
    pub may_select: bool,
    /// How texts are sorted: equal on two servers means sorted alike. Absent for types without collations.
    pub sorted: Option<String>,
    /// The collation's name with its schema, unless it is the database's own.
    pub collation: Option<String>,
}

impl Found {
    /// Characters that a `character varying` takes; nothing where it has no limit, or is another type.
    pub(super) fn text_limit(&self) -> Option<i64> {
        if self.base != "varchar" || !self.has_modifier {
            return None;
        }
        let (_, limit) = self.base_declared.split_once('(')?;
        limit.trim_end_matches(')').parse().ok()
    }
}

/// What is known of the key of one side.
#[derive(Debug, Clone, Copy)]
pub(super) struct KeyIndex {
    pub is_key: bool,
    pub is_sorted: bool,
    pub is_sorted_by_bytes: bool,
}

/// One side of a mirror.
#[derive(Debug, Clone)]
pub(super) struct End {
    /// `pg_class.relkind`; absent when there is no such table.
    pub kind: Option<String>,
    pub columns: Vec<Found>,
    pub key: KeyIndex,
}

impl End {
    pub(super) fn column(&self, name: &Ident) -> Option<&Found> {
        self.columns.iter().find(|c| c.name == name.as_str())
    }

    /// What must stay as it is while rows are compared.
    pub(super) fn fingerprint(&self) -> String {
        let one = |c: &Found| {
            format!("{} {} {} {:?} {}", c.table_id, c.name, c.declared, c.sorted, if c.not_null { "!" } else { "?" })
        };
        let all: Vec<String> = self.columns.iter().map(one).collect();
        all.join(", ")
    }
}

/// Reads one side.
///
/// # Errors
/// When the database cannot be reached, or the role may not look into the schema.
pub(super) async fn read(database: &Database, table: &TableName, keys: &[Ident], others: &[&Ident]) -> Result<End> {
    let mut names: Vec<&str> = keys.iter().chain(others.iter().copied()).map(Ident::as_str).collect();
    names.sort_unstable();
    names.dedup();
    let mut tx = database.begin(Purpose::Check).await?;
    let rows = tx.query(statements::CHECK_READ_COLUMNS).bind(table.to_string()).bind(names);
    let rows = rows.fetch_all(tx.conn()).await.map_err(|e| database.error(e))?;
    let keys: Vec<&str> = keys.iter().map(Ident::as_str).collect();
    let key = tx.query(statements::CHECK_READ_KEY_INDEX).bind(table.to_string()).bind(keys);
    let key = key.fetch_one(tx.conn()).await.map_err(|e| database.error(e))?;
    tx.commit().await?;
    let mut columns: Vec<Found> = rows.iter().filter_map(column).collect();
    columns.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(End {
        kind: rows.first().map(|r| r.get("table_kind")),
        columns,
        key: KeyIndex {
            is_key: key.get("is_key"),
            is_sorted: key.get("is_sorted"),
            is_sorted_by_bytes: key.get("is_sorted_by_bytes"),
        },
    })
}

/// A table without any of the columns still gives one row.
fn column(row: &PgRow) -> Option<Found> {
    Some(Found {
        name: row.get::<Option<String>, _>("name")?,
        table_id: row.get("table_id"),
        declared: row.get("declared"),
        own_type: row.get("own_type"),
        base: row.get("base"),
        base_declared: row.get("base_declared"),
        has_modifier: row.get("has_modifier"),
        built_in: row.get("built_in"),
        element: row.get("element"),
        send: row.get("send"),
        not_null: row.get("not_null"),
        deterministic: row.get("deterministic"),
        may_select: row.get("may_select"),
        sorted: row.get("sorted"),
        collation: row.get("collation"),
    })
}

/// Whether a column may be assigned to a type without saying so.
pub(super) async fn is_assignable(database: &Database, column: &Found, wanted: &str) -> Result<bool> {
    let mut tx = database.begin(Purpose::Check).await?;
    let query = tx.query_scalar(statements::CHECK_IS_ASSIGNABLE).bind(column.table_id).bind(&column.name).bind(wanted);
    let assignable = query.fetch_one(tx.conn()).await.map_err(|e| database.error(e))?;
    tx.commit().await?;
    Ok(assignable)
}

/// What the server says against an expression, or nothing. Whatever was made for it is rolled back.
///
/// # Errors
/// When the database cannot be reached.
pub(super) async fn try_expression(database: &Database, table: Sql, expression: Sql) -> Result<Option<Error>> {
    let mut tx = database.begin(Purpose::Admin).await?;
    let tried = match tx.run(table.into_sql_str()).await {
        Ok(()) => tx.run(expression.into_sql_str()).await,
        Err(error) => Err(error),
    };
    judged(tx, tried)
}

/// What the server says against reading rows, or nothing.
///
/// # Errors
/// When the database cannot be reached.
pub(super) async fn try_rows(database: &Database, rows: Sql) -> Result<Option<Error>> {
    let mut tx = database.begin(Purpose::Check).await?;
    let tried = tx.run(rows.into_sql_str()).await;
    judged(tx, tried)
}

fn judged(tx: Tx, tried: Result<()>) -> Result<Option<Error>> {
    drop(tx);
    match tried {
        Ok(()) => Ok(None),
        // Class 42 is about the statement, 0A about what cannot be done at all. Anything else says nothing about it.
        Err(error) if error.sqlstate().is_some_and(|s| s.starts_with("42") || s.starts_with("0A")) => Ok(Some(error)),
        Err(error) => Err(error),
    }
}
