//! Mirrors as they are declared. Pure: no database is asked.

use std::time::Duration;

use lfk_core::{Error, Relation, Result};
use lfk_sql::{Expression, Ident};

use crate::schedule::{Cron, Schedule};

/// Within which time every row is looked at, unless a mirror says otherwise.
const CHECK_WITHIN: Duration = Duration::from_secs(24 * 3600);

/// How long rows are kept as they were before a repair, unless a mirror says otherwise.
const KEEP_BEFORE: Duration = Duration::from_secs(30 * 24 * 3600);

/// Chosen columns of a source table, kept equal in a target table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    /// Unique among everything that is installed in the source's database.
    pub name: String,
    /// The source table and its key: a primary key or another unique key whose columns are never NULL.
    pub source: Relation,
    /// The target table and the columns that hold the key, in the same order.
    pub target: Relation,
    /// What is mirrored beside the key.
    pub columns: Vec<Column>,
    /// Only source rows for which this is true have a row in the target: SQL over the columns of one source row.
    pub filter: Option<Expression>,
    /// Whether the daemon's own checks hand confirmed differences to the sync.
    pub repair: bool,
    /// When the daemon's own checks look at every row; nothing: they only look at what was synced a moment ago.
    pub check: Option<Schedule>,
    /// How long rows are kept as they were before a repair changed or deleted them. A day at least.
    pub keep_before: Duration,
}

/// A column of the target, and what stands in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// The column of the target.
    pub target: Ident,
    /// What it holds.
    pub value: Value,
}

/// What a mirrored column holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// A column of the source as it is.
    Column(Ident),
    /// SQL over the columns of one source row. It may not be VOLATILE, nor read other tables or the clock.
    Expression(Expression),
}

impl Mirror {
    /// A mirror of nothing but its key.
    ///
    /// # Errors
    /// When an end cannot be read, or the two keys have different numbers of columns.
    pub fn new(name: impl Into<String>, source: &str, target: &str) -> Result<Self> {
        let name = name.into();
        let (source, target): (Relation, Relation) = (source.parse()?, target.parse()?);
        if source.columns.len() != target.columns.len() {
            let (here, there) = (source.columns.len(), target.columns.len());
            let message = format!("the key has {here} columns in the source and {there} in the target");
            return Err(Error::config(message).for_definition(&name));
        }
        Ok(Self {
            name,
            source,
            target,
            columns: Vec::new(),
            filter: None,
            repair: false,
            check: Some(Schedule::Within(CHECK_WITHIN)),
            keep_before: KEEP_BEFORE,
        })
    }

    /// Mirrors a column of the source.
    ///
    /// # Errors
    /// When a name is no identifier, or the target column is taken.
    pub fn column(self, source: &str, target: &str) -> Result<Self> {
        let value = Ident::new(source).map_err(|e| Error::config(e.to_string()).for_definition(&self.name))?;
        self.holding(target, Value::Column(value))
    }

    /// Fills a column of the target with what an expression over the source row gives.
    ///
    /// # Errors
    /// When the name is no identifier, the target column is taken, or the expression is empty.
    pub fn expression(self, target: &str, sql: &str) -> Result<Self> {
        let value = Expression::new(sql).map_err(|e| Error::config(e.to_string()).for_definition(&self.name))?;
        self.holding(target, Value::Expression(value))
    }

    fn holding(mut self, target: &str, value: Value) -> Result<Self> {
        let target = Ident::new(target).map_err(|e| Error::config(e.to_string()).for_definition(&self.name))?;
        if self.target.columns.contains(&target) || self.columns.iter().any(|c| c.target == target) {
            let message = format!("the target column {target} is declared twice");
            return Err(Error::config(message).for_definition(&self.name));
        }
        self.columns.push(Column { target, value });
        Ok(self)
    }

    /// Limits it to source rows for which the expression is true.
    ///
    /// # Errors
    /// When the expression is empty.
    pub fn only_where(mut self, sql: &str) -> Result<Self> {
        let filter = Expression::new(sql).map_err(|e| Error::config(e.to_string()).for_definition(&self.name))?;
        self.filter = Some(filter);
        Ok(self)
    }

    /// Has the daemon's own checks hand confirmed differences to the sync.
    #[must_use]
    pub fn repaired(mut self, repair: bool) -> Self {
        self.repair = repair;
        self
    }

    /// Within which time the daemon's own checks look at every row: 24 hours by default. `None` turns them off, but for the
    /// second look at each key that was synced.
    #[must_use]
    pub fn checked_within(mut self, time: Option<Duration>) -> Self {
        self.check = time.map(Schedule::Within);
        self
    }

    /// Has the daemon's own checks look at every row in passes that begin at given times, and at no other.
    #[must_use]
    pub fn checked_at(mut self, times: Cron) -> Self {
        self.check = Some(Schedule::Cron(times));
        self
    }

    /// How long rows are kept as they were before a repair changed or deleted them: 30 days by default, a day at least. A worker
    /// forgets them after that, in small batches.
    #[must_use]
    pub fn keeping_before(mut self, time: Duration) -> Self {
        self.keep_before = time;
        self
    }

    /// Source columns that are mirrored as they are, beside the key.
    #[must_use]
    pub(crate) fn plain_columns(&self) -> Vec<Ident> {
        let mut all: Vec<Ident> = self.columns.iter().filter_map(|c| c.value.column().cloned()).collect();
        all.sort();
        all.dedup();
        all
    }

    /// Every name in the expressions and in the filter: some are source columns.
    #[must_use]
    pub(crate) fn mentioned(&self) -> Vec<String> {
        let expressions = self.columns.iter().filter_map(|c| c.value.expression()).chain(&self.filter);
        let mut all: Vec<String> = expressions.flat_map(Expression::names).collect();
        all.sort();
        all.dedup();
        all
    }

    /// Whether the source's server has expressions to judge, the filter among them.
    #[must_use]
    pub(crate) fn has_expressions(&self) -> bool {
        self.filter.is_some() || self.columns.iter().any(|c| c.value.expression().is_some())
    }

    /// Everything that makes it this mirror. When it changes under the same name, it goes back to observing.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        // In an order of its own: a file sorts columns, an application names them as it likes, and both may run beside each other.
        let mut columns: Vec<String> =
            self.columns.iter().map(|c| format!("{}={}", c.target, c.value.as_text())).collect();
        columns.sort();
        let filter = self.filter.as_ref().map_or("", Expression::as_str);
        format!("mirror {} -> {} [{}] where {filter}", self.source, self.target, columns.join(", "))
    }
}

impl Value {
    fn expression(&self) -> Option<&Expression> {
        match self {
            Self::Column(_) => None,
            Self::Expression(sql) => Some(sql),
        }
    }

    /// The column of the source, unless it is an expression.
    #[must_use]
    pub fn column(&self) -> Option<&Ident> {
        match self {
            Self::Column(name) => Some(name),
            Self::Expression(_) => None,
        }
    }

    fn as_text(&self) -> String {
        match self {
            Self::Column(name) => name.to_string(),
            Self::Expression(sql) => format!("({})", sql.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_column_is_filled_once() {
        let mirror = Mirror::new("m", "main:public.s(id)", "ci:public.t(s_id)").unwrap();
        let mirror = mirror.column("a", "b").unwrap();
        for (source, target) in [("c", "b"), ("c", "s_id")] {
            assert!(mirror.clone().column(source, target).unwrap_err().message.contains("twice"));
        }
    }

    #[test]
    fn what_is_mirrored_makes_the_fingerprint() {
        let mirror = Mirror::new("m", "main:public.s(id)", "ci:public.t(s_id)").unwrap();
        let other = mirror.clone().expression("b", "lower(a)").unwrap();
        let third = mirror.clone().only_where("not archived").unwrap();
        assert_ne!(mirror.fingerprint(), other.fingerprint());
        assert_ne!(mirror.fingerprint(), third.fingerprint());
        let both = |one: &str, two: &str| mirror.clone().column(one, one).unwrap().column(two, two).unwrap();
        assert_eq!(both("path", "kind").fingerprint(), both("kind", "path").fingerprint());
        assert_eq!(mirror.fingerprint(), mirror.clone().repaired(true).checked_within(None).fingerprint());
    }
}
