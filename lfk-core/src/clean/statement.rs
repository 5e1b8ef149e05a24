//! The statements that a cleaner sends to the children's database, each in a short transaction of its own.

use std::time::{Duration, Instant};

use lfk_sql::{Ident, TableName, statements};
use sqlx::Row as _;

use super::converge::Cleaner;
use super::shape::Form;
use crate::database::Purpose;
use crate::error::{Error, ErrorKind, Result};
use crate::key::Key;
use crate::points::Point;
use crate::signals;

/// No statement starts later than this after the clock was read, and none runs longer than 5 s: so nothing acts later than
/// 10 s after its re-check.
const DEADLINE: Duration = Duration::from_secs(5);

/// Which rows of a leaf a statement is aimed at.
#[derive(Debug, Clone, Copy)]
pub(super) enum Target<'a> {
    /// Every child of the keys.
    Whole,
    /// So many children of the keys, and none that is locked.
    Capped(usize),
    /// These rows, as far as they still refer to the key.
    Listed(&'a [String]),
}

impl Target<'_> {
    fn form(self) -> Form {
        match self {
            Self::Whole => Form::Whole,
            Self::Capped(_) => Form::Capped,
            Self::Listed(_) => Form::Listed,
        }
    }

    fn cap(self) -> Option<i64> {
        match self {
            Self::Capped(cap) => Some(i64::try_from(cap).unwrap_or(i64::MAX)),
            _ => None,
        }
    }
}

/// What one statement on one leaf did.
pub(super) struct LeafDone {
    pub(super) rows: u64,
    pub(super) late: bool,
    pub(super) may_swallow: bool,
    /// A capped statement found as many rows as it may take: there are more.
    pub(super) full: bool,
}

impl Cleaner<'_> {
    /// (A) The clock of the children's database, and the tables that hold rows.
    pub(super) async fn read_deadline(&self) -> Result<(f64, Vec<TableName>)> {
        let mut tx = self.away.begin(Purpose::Recheck).await?;
        let rows = tx
            .query(statements::DEADLINE.clone().into_sql_str())
            .bind(self.shape.child.to_string())
            .bind(DEADLINE.as_secs_f64())
            .bind(self.shape.child_column_names())
            .fetch_all(tx.conn())
            .await
            .map_err(|e| self.away.error(e))?;
        tx.commit().await?;
        let Some(first) = rows.first().filter(|row| row.get("found")) else { return Err(self.no_child()) };
        if first.get::<Vec<Option<String>>, _>("kinds") != self.shape.kinds {
            return Err(
                self.changed("its columns no longer compare as the parent's do: a type or a collation was changed")
            );
        }
        // A partitioned child without partitions has no leaf, and no children.
        let leaves = rows.iter().filter(|row| row.get::<Option<&str>, _>("relkind").is_some());
        Ok((first.get("deadline"), leaves.map(|row| self.leaf(row)).collect::<Result<_>>()?))
    }

    /// Only tables can be cleaned: what is in anything else would be taken for clean.
    fn leaf(&self, row: &sqlx::postgres::PgRow) -> Result<TableName> {
        if row.get::<&str, _>("relkind") != "r" {
            return Err(self.changed("something in its tree is not a table: a view, or a foreign table"));
        }
        let name = |column: &str| Ident::new(row.get::<String, _>(column)).map_err(|e| self.changed(&e.to_string()));
        Ok(TableName::new(name("schema")?, name("name")?))
    }

    fn changed(&self, what: &str) -> Error {
        Error::new(ErrorKind::Refused, format!("the child {}: {what}", self.shape.child))
            .in_database(self.away.name())
            .for_definition(&self.lease.consumer)
            .with_hint("run `lfk plan`")
    }

    fn no_child(&self) -> Error {
        Error::new(ErrorKind::Refused, format!("the child table {} is not there", self.shape.child))
            .in_database(self.away.name())
            .for_definition(&self.lease.consumer)
            .with_hint("run `lfk plan`; a definition whose child is gone for good is removed with `lfk uninstall NAME`")
    }

    /// (C) One statement on one leaf, in a transaction of its own.
    pub(super) async fn clean_leaf(
        &mut self,
        leaf: &TableName,
        target: Target<'_>,
        columns: &[Vec<String>],
        deadline: f64,
    ) -> Result<LeafDone> {
        self.lease.check()?;
        let began = Instant::now();
        let consumer = &self.lease.consumer;
        let form = target.form();
        let mut tx = self.away.begin(Purpose::Write).await?;
        let backend: i64 =
            tx.query_scalar(statements::BACKEND_PID).fetch_one(tx.conn()).await.map_err(|e| self.away.error(e))?;
        let mut locked: Vec<String> = Vec::new();
        if self.shape.same_database {
            // A whole statement locks all of them: the limit is only for the capped form.
            let most = target.cap().unwrap_or(i64::MAX);
            let mut query = tx.query_scalar(self.shape.lock(leaf, form).into_sql_str());
            for column in columns {
                query = query.bind(column);
            }
            locked = query.bind(most).fetch_all(tx.conn()).await.map_err(|e| self.away.error(e))?;
            self.points.pass(Point::ChildrenLocked, consumer).await?;
        }
        let locked_rows = locked.len();
        let mut query = tx.query(self.shape.clean(leaf, form).into_sql_str());
        for column in columns {
            query = query.bind(column);
        }
        query = query.bind(deadline);
        query = match target {
            _ if self.shape.same_database => query.bind(locked),
            Target::Whole => query,
            Target::Capped(_) => query.bind(target.cap()),
            Target::Listed(rows) => query.bind(rows),
        };
        let row = tokio::select! {
            row = query.fetch_one(tx.conn()) => row.map_err(|e| self.away.error(e))?,
            never = signals::never_block_others(self.away, backend) => match never {},
        };
        self.points.pass(Point::CleanedUncommitted, consumer).await?;
        tx.commit().await?;
        self.points.pass(Point::LeafCleaned, consumer).await?;
        let rows = u64::try_from(row.get::<i64, _>("rows")).unwrap_or(0);
        self.pace.took(form, rows, began.elapsed());
        self.limiter.rows(rows, self.stop).await;
        let reached = if self.shape.same_database { locked_rows as u64 } else { rows };
        let full = rows > 0 && matches!(target, Target::Capped(cap) if reached >= cap as u64);
        Ok(LeafDone { rows, late: row.get("late"), may_swallow: row.get("may_swallow"), full })
    }

    /// Rows of one key in one leaf, at most `limit`.
    pub(super) async fn list(&self, leaf: &TableName, columns: &[Vec<String>], limit: i64) -> Result<Vec<String>> {
        let mut tx = self.away.begin(Purpose::Recheck).await?;
        let mut query = tx.query_scalar(self.shape.list(leaf).into_sql_str());
        for column in columns {
            query = query.bind(column);
        }
        let rows = query.bind(limit).fetch_all(tx.conn()).await.map_err(|e| self.away.error(e))?;
        tx.commit().await?;
        Ok(rows)
    }

    /// The keys that still have children in one of these leaves.
    pub(super) async fn remaining(&self, leaves: &[TableName], keys: &[Key]) -> Result<Vec<Key>> {
        let columns = Key::by_column(keys, self.shape.width());
        let mut left = vec![false; keys.len()];
        for leaf in leaves {
            let mut tx = self.away.begin(Purpose::Recheck).await?;
            let mut query = tx.query_scalar::<i64>(self.shape.remaining(leaf).into_sql_str());
            for column in &columns {
                query = query.bind(column);
            }
            let ordinals = query.fetch_all(tx.conn()).await.map_err(|e| self.away.error(e))?;
            tx.commit().await?;
            for ordinal in ordinals {
                let index = usize::try_from(ordinal).unwrap_or(0).checked_sub(1);
                if let Some(slot) = index.and_then(|i| left.get_mut(i)) {
                    *slot = true;
                }
            }
        }
        Ok(keys.iter().zip(left).filter(|(_, left)| *left).map(|(key, _)| key.clone()).collect())
    }
}
