//! The child's table as it is now: the clock of its database, and what its tree is made of.
//!
//! The catalog is authoritative, and asked anew before every attempt and after every chunk of a sweep: what is no table, or
//! compares in another way than the parent, would be taken for clean, or lead to children of living parents.

use std::time::Duration;

use lfk_sql::{Ident, TableName, statements};
use sqlx::Row as _;
use sqlx::postgres::PgRow;

use super::shape::Shape;
use crate::database::{Database, Tx};
use crate::error::{Error, ErrorKind, Result};

/// No statement starts later than this after the clock was read, and none runs longer than 5 s: so nothing acts later than
/// 10 s after its re-check.
const DEADLINE: Duration = Duration::from_secs(5);

/// Until when a statement may begin, by the clock of the children's database, and the tables that hold rows.
pub(crate) struct Survey {
    pub(crate) deadline: f64,
    pub(crate) leaves: Vec<TableName>,
}

/// Looks at one child for one consumer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Surveyor<'a> {
    pub(crate) shape: &'a Shape,
    pub(crate) away: &'a Database,
    pub(crate) consumer: &'a str,
}

impl Surveyor<'_> {
    /// # Errors
    /// Refused when the child is not what was installed any more, or not there.
    pub(crate) async fn survey(self, tx: &mut Tx) -> Result<Survey> {
        let rows = tx
            .query(statements::DEADLINE.clone().into_sql_str())
            .bind(self.shape.child.to_string())
            .bind(DEADLINE.as_secs_f64())
            .bind(self.shape.child_column_names())
            .bind(self.shape.event())
            .fetch_all(tx.conn())
            .await
            .map_err(|e| self.away.error(e))?;
        let Some(first) = rows.first().filter(|row| row.get("found")) else { return Err(self.no_child()) };
        // A partitioned child without partitions has no leaf, and no children.
        let leaves = rows.iter().filter(|row| row.get::<Option<&str>, _>("relkind").is_some());
        let leaves = leaves.map(|row| self.leaf(row)).collect::<Result<_>>()?;
        self.compare(first)?;
        Ok(Survey { deadline: first.get("deadline"), leaves })
    }

    /// Whether the columns still compare as the parent's do, by the column `kinds` of an answer.
    pub(crate) fn compare(self, row: &PgRow) -> Result<()> {
        let expected = &self.shape.kinds;
        // Columns that the parent itself has no more are its own fault: the re-check says so, before anything is written.
        if expected.iter().any(Option::is_none) || row.get::<Vec<Option<String>>, _>("kinds") == *expected {
            return Ok(());
        }
        Err(self.changed("its columns no longer compare as the parent's do: a type or a collation was changed"))
    }

    /// The statement is only what it says where no rule makes something else of it, by the column `ruled` of an answer.
    pub(crate) fn no_rule(self, row: &PgRow) -> Result<()> {
        if !row.get::<bool, _>("ruled") {
            return Ok(());
        }
        Err(self
            .changed("a rule rewrites the statement, so that it cannot say what it did")
            .with_hint("drop the rule, or make it a trigger; `lfk plan` names it"))
    }

    /// Only tables can be cleaned: what is in anything else would be taken for clean.
    fn leaf(self, row: &PgRow) -> Result<TableName> {
        if row.get::<&str, _>("relkind") != "r" {
            return Err(self.changed("something in its tree is not a table: a view, or a foreign table"));
        }
        self.no_rule(row)?;
        let name = |column: &str| Ident::new(row.get::<String, _>(column)).map_err(|e| self.changed(&e.to_string()));
        Ok(TableName::new(name("schema")?, name("name")?))
    }

    fn changed(self, what: &str) -> Error {
        Error::new(ErrorKind::Refused, format!("the child {}: {what}", self.shape.child))
            .in_database(self.away.name())
            .for_definition(self.consumer)
            .with_hint("run `lfk plan`")
    }

    fn no_child(self) -> Error {
        Error::new(ErrorKind::Refused, format!("the child table {} is not there", self.shape.child))
            .in_database(self.away.name())
            .for_definition(self.consumer)
            .with_hint("run `lfk plan`; a definition whose child is gone for good is removed with `lfk uninstall NAME`")
    }
}
