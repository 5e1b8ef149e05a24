//! What the catalogs say of one end of a definition, as plain structs that the judges decide over.

use std::time::Duration;

use lfk_sql::{Ident, Piece, TableName, statements};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use crate::database::{Database, Purpose, Tx};
use crate::error::{Error, ErrorKind, Result};
use crate::relation::Relation;

/// The server and our session on it.
#[derive(Debug, Clone, Default)]
pub(super) struct Server {
    pub version: i64,
    pub in_recovery: bool,
    /// Our role, quoted where SQL needs it.
    pub role: String,
    /// The database's name in SQL, quoted where SQL needs it.
    pub database: String,
    pub replication_role: String,
    pub may_create_schema: bool,
    /// Absent while schema lfk is.
    pub may_create_in_lfk: Option<bool>,
    pub may_use_lfk: bool,
    /// Whether the role may do with the tables of schema lfk what a worker does at the parent's end. Absent while they are.
    pub may_read_log: Option<bool>,
    /// The same at the child's end.
    pub may_answer_peers: Option<bool>,
    /// Absent when the schema of the table is.
    pub may_use_schema: Option<bool>,
}

/// One relation of a tree, or something that the tree is a part of.
#[derive(Debug, Clone)]
pub(super) struct Member {
    pub id: i64,
    pub name: TableName,
    /// `pg_class.relkind`.
    pub kind: String,
    /// `pg_class.relpersistence`.
    pub persistence: String,
    pub has_children: bool,
    pub has_parents: bool,
    pub bytes: i64,
    /// As the planner estimates them; negative when nothing is known.
    pub rows: f64,
    pub row_security: bool,
    pub may_use_schema: bool,
    pub may_trigger: bool,
    pub may_delete: bool,
    pub may_select_ctid: bool,
    /// Whether a trigger of ours is there already.
    pub covered: bool,
    pub delete_rules: Vec<String>,
    pub update_rules: Vec<String>,
    /// BEFORE ROW triggers.
    pub delete_triggers: Vec<String>,
    pub update_triggers: Vec<String>,
    pub partition_columns: Vec<String>,
}

impl Member {
    /// Whether rows live in it, and not only in its parts.
    pub(super) fn is_leaf(&self) -> bool {
        self.kind == "r"
    }
}

/// One column of one relation.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub table_id: i64,
    pub name: String,
    pub type_name: String,
    pub not_null: bool,
    pub generated: bool,
    pub always_identity: bool,
    /// Absent for types without collations.
    pub deterministic: Option<bool>,
    /// Provider, locale and rules.
    pub collation: String,
    pub may_select: bool,
    pub may_update: bool,
}

/// A btree or hash index.
#[derive(Debug, Clone)]
pub(super) struct Index {
    pub table_id: i64,
    pub name: TableName,
    pub method: String,
    pub is_unique: bool,
    pub valid: bool,
    pub predicate: Option<String>,
    /// Key columns in order; absent where it is an expression.
    pub columns: Vec<Option<String>>,
    /// For each key column the types that it can be compared with in a search, separated by spaces.
    pub equals: Vec<String>,
    /// For each key column whether it is sorted by the column's own collation.
    pub same_collation: Vec<Option<bool>>,
}

/// A foreign key of the database itself.
#[derive(Debug, Clone)]
pub(super) struct ForeignKey {
    pub name: String,
    pub leaves: bool,
    pub arrives: bool,
    pub from: TableName,
    pub from_columns: Vec<String>,
    pub to: TableName,
    /// `pg_constraint.confdeltype`.
    pub on_delete: String,
}

/// All that is known of one end.
#[derive(Debug, Clone, Default)]
pub(super) struct End {
    pub server: Server,
    /// The tree, root first; empty when the table is not there or was not looked for.
    pub members: Vec<Member>,
    /// What the root is a part of.
    pub above: Vec<Member>,
    pub columns: Vec<Column>,
    pub indexes: Vec<Index>,
    pub foreign_keys: Vec<ForeignKey>,
    /// Tables that may have been meant, when there is none of the name.
    pub other_tables: Vec<TableName>,
    /// All columns of the root, when one that was asked for is missing.
    pub other_columns: Vec<String>,
}

impl End {
    pub(super) fn root(&self) -> Option<&Member> {
        self.members.first()
    }

    pub(super) fn column(&self, member: &Member, name: &Ident) -> Option<&Column> {
        self.columns.iter().find(|c| c.table_id == member.id && c.name == name.as_str())
    }

    pub(super) fn leaves(&self) -> impl Iterator<Item = &Member> {
        self.members.iter().filter(|m| m.is_leaf())
    }

    /// Estimated rows of the tree, when every part of it has an estimate.
    pub(super) fn rows_estimate(&self) -> Option<i64> {
        self.root()?;
        let mut sum = 0.0_f64;
        for leaf in self.leaves() {
            match leaf.rows {
                rows if rows >= 0.0 => sum += rows,
                _ if leaf.bytes == 0 => {}
                _ => return None,
            }
        }
        // By way of text, because no cast from a float refuses what does not fit.
        format!("{sum:.0}").parse().ok()
    }
}

/// How often a look at the catalogs is repeated when someone holds a table too long for our short wait.
const LOCK_ATTEMPTS: u32 = 5;

/// Reads one end. `columns` are all columns that the definition names there.
pub(super) async fn read(database: &Database, relation: &Relation, columns: &[&Ident]) -> Result<End> {
    let mut attempt = 1;
    loop {
        match read_once(database, relation, columns).await {
            Err(e) if attempt < LOCK_ATTEMPTS && e.sqlstate().as_deref() == Some("55P03") => {
                attempt += 1;
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            other => return other,
        }
    }
}

async fn read_once(database: &Database, relation: &Relation, columns: &[&Ident]) -> Result<End> {
    let mut tx = match database.begin(Purpose::Admin).await {
        Ok(tx) => tx,
        // A standby refuses even to begin a transaction that could write.
        Err(e) if matches!(e.sqlstate().as_deref(), Some("0A000" | "25006")) => {
            let server = Server { in_recovery: true, ..Server::default() };
            return Ok(End { server, ..End::default() });
        }
        Err(e) => return Err(e),
    };
    tx.run(statements::PLAN_READ_ONLY).await?;
    read_end(&mut tx, relation, columns).await.map_err(|e| database.error(e))
}

async fn read_end(tx: &mut Tx, relation: &Relation, columns: &[&Ident]) -> Result<End, sqlx::Error> {
    let (schema, table) = (relation.table.schema.as_str(), relation.table.table.as_str());
    let row = tx.query(statements::PLAN_READ_SERVER).bind(schema).fetch_one(tx.conn()).await?;
    let mut end = End { server: server(&row)?, ..End::default() };
    for row in tx.query(statements::PLAN_READ_TREE).bind(schema).bind(table).fetch_all(tx.conn()).await? {
        let list = if row.try_get("above")? { &mut end.above } else { &mut end.members };
        list.push(member(&row)?);
    }
    let Some(root) = end.root().map(|m| m.id) else {
        let rows = tx.query(statements::PLAN_LIST_TABLES).bind(schema).bind(table).fetch_all(tx.conn()).await?;
        end.other_tables = rows.iter().map(table_name).collect::<Result<_, _>>()?;
        return Ok(end);
    };
    let ids: Vec<i64> = end.members.iter().map(|m| m.id).collect();
    let names: Vec<&str> = columns.iter().map(|c| c.as_str()).collect();
    let rows = tx.query(statements::PLAN_READ_COLUMNS).bind(&ids).bind(&names).fetch_all(tx.conn()).await?;
    end.columns = rows.iter().map(column).collect::<Result<_, _>>()?;
    if names.iter().any(|n| !end.columns.iter().any(|c| c.table_id == root && c.name == *n)) {
        let rows = tx.query(statements::PLAN_LIST_COLUMNS).bind(root).fetch_all(tx.conn()).await?;
        end.other_columns = rows.iter().map(|r| r.try_get("name")).collect::<Result<_, _>>()?;
    }
    let rows = tx.query(statements::PLAN_READ_INDEXES).bind(&ids).fetch_all(tx.conn()).await?;
    end.indexes = rows.iter().map(index).collect::<Result<_, _>>()?;
    let rows = tx.query(statements::PLAN_READ_FOREIGN_KEYS).bind(&ids).fetch_all(tx.conn()).await?;
    end.foreign_keys = rows.iter().map(foreign_key).collect::<Result<_, _>>()?;
    Ok(end)
}

/// Why a value cannot be read as a type and compared, in the server's words; `None` when it can.
pub(super) async fn try_value(database: &Database, type_name: &str, value: &str) -> Result<Option<String>> {
    // A NUL never reaches the server: the protocol itself cannot carry one.
    if value.contains('\0') {
        return Ok(Some("it contains a NUL byte".to_owned()));
    }
    let mut tx = database.begin(Purpose::Admin).await?;
    tx.run(statements::PLAN_READ_ONLY).await?;
    let type_name = Piece::Sql(type_name.to_owned());
    let sql = statements::PLAN_TRY_VALUE.render(&[("value", Piece::literal(value)), ("type", type_name)]);
    match tx.run(sql.into_sql_str()).await {
        Ok(()) => Ok(None),
        Err(e) if is_about_the_value(&e) => Ok(Some(e.message)),
        Err(e) => Err(e),
    }
}

/// Bad data, a broken constraint of a domain, a missing operator or right, or an error raised by a type's own function.
fn is_about_the_value(error: &Error) -> bool {
    let state = error.sqlstate().unwrap_or_default();
    error.kind == ErrorKind::Sql && ["22", "23", "42", "P0"].iter().any(|class| state.starts_with(class))
}

fn server(row: &PgRow) -> Result<Server, sqlx::Error> {
    Ok(Server {
        version: row.try_get("version")?,
        in_recovery: row.try_get("in_recovery")?,
        role: row.try_get("role")?,
        database: row.try_get("database")?,
        replication_role: row.try_get("replication_role")?,
        may_create_schema: row.try_get("may_create_schema")?,
        may_create_in_lfk: row.try_get("may_create_in_lfk")?,
        may_use_lfk: row.try_get("may_use_lfk")?,
        may_read_log: row.try_get("may_read_log")?,
        may_answer_peers: row.try_get("may_answer_peers")?,
        may_use_schema: row.try_get("may_use_schema")?,
    })
}

fn member(row: &PgRow) -> Result<Member, sqlx::Error> {
    Ok(Member {
        id: row.try_get("id")?,
        name: table_name(row)?,
        kind: row.try_get("kind")?,
        persistence: row.try_get("persistence")?,
        has_children: row.try_get("has_children")?,
        has_parents: row.try_get("has_parents")?,
        bytes: row.try_get("bytes")?,
        rows: row.try_get("rows")?,
        row_security: row.try_get("row_security")?,
        may_use_schema: row.try_get("may_use_schema")?,
        may_trigger: row.try_get("may_trigger")?,
        may_delete: row.try_get("may_delete")?,
        may_select_ctid: row.try_get("may_select_ctid")?,
        covered: row.try_get("covered")?,
        delete_rules: row.try_get("delete_rules")?,
        update_rules: row.try_get("update_rules")?,
        delete_triggers: row.try_get("delete_triggers")?,
        update_triggers: row.try_get("update_triggers")?,
        partition_columns: row.try_get("partition_columns")?,
    })
}

fn column(row: &PgRow) -> Result<Column, sqlx::Error> {
    Ok(Column {
        table_id: row.try_get("table_id")?,
        name: row.try_get("name")?,
        type_name: row.try_get("type_name")?,
        not_null: row.try_get("not_null")?,
        generated: row.try_get("generated")?,
        always_identity: row.try_get("always_identity")?,
        deterministic: row.try_get("deterministic")?,
        collation: row.try_get("collation")?,
        may_select: row.try_get("may_select")?,
        may_update: row.try_get("may_update")?,
    })
}

fn index(row: &PgRow) -> Result<Index, sqlx::Error> {
    Ok(Index {
        table_id: row.try_get("table_id")?,
        name: table_name(row)?,
        method: row.try_get("method")?,
        is_unique: row.try_get("is_unique")?,
        valid: row.try_get("valid")?,
        predicate: row.try_get("predicate")?,
        columns: row.try_get("columns")?,
        equals: row.try_get("equals")?,
        same_collation: row.try_get("same_collation")?,
    })
}

fn foreign_key(row: &PgRow) -> Result<ForeignKey, sqlx::Error> {
    Ok(ForeignKey {
        name: row.try_get("name")?,
        leaves: row.try_get("leaves")?,
        arrives: row.try_get("arrives")?,
        from: TableName::new(ident(row, "from_schema")?, ident(row, "from_table")?),
        from_columns: row.try_get("from_columns")?,
        to: TableName::new(ident(row, "to_schema")?, ident(row, "to_table")?),
        on_delete: row.try_get("on_delete")?,
    })
}

fn table_name(row: &PgRow) -> Result<TableName, sqlx::Error> {
    Ok(TableName::new(ident(row, "schema")?, ident(row, "name")?))
}

fn ident(row: &PgRow, column: &str) -> Result<Ident, sqlx::Error> {
    let name: String = row.try_get(column)?;
    Ident::new(name).map_err(|e| sqlx::Error::Decode(Box::new(e)))
}
