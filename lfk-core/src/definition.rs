//! Loose foreign keys as they are declared.

use std::fmt;
use std::time::Duration;

use lfk_sql::Ident;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::relation::{Relation, plain};

/// When a parent is gone, what happens to its children.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OnDelete {
    /// The child rows are deleted.
    Delete,
    /// The child columns become NULL.
    SetNull,
    /// The named columns of the child get these values.
    Set(Vec<(Ident, Literal)>),
}

/// A value in a definition, as text that PostgreSQL reads as the column's own type. `None` is NULL.
pub type Literal = Option<String>;

/// A loose foreign key: `child` refers to `parent`, which lives elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LooseForeignKey {
    /// Unique among everything that is installed in the parent's database.
    pub name: String,
    /// The referenced columns: a primary key or another unique key.
    pub parent: Relation,
    /// The referring columns, in the same order.
    pub child: Relation,
    /// Only child rows that have these values refer to the parent (polymorphic keys).
    pub condition: Vec<(Ident, String)>,
    /// The action.
    pub on_delete: OnDelete,
    /// How long after its delete was committed each key is visited a second time, for children that were inserted late by
    /// transactions which had still seen the parent.
    pub settle_after: Duration,
}

/// The default of [`LooseForeignKey::settle_after`].
pub const SETTLE_AFTER: Duration = Duration::from_secs(60);

impl LooseForeignKey {
    /// A definition with its default name, `child_table.child_column`.
    ///
    /// # Errors
    /// When an end cannot be read, or the two have different numbers of columns.
    pub fn new(parent: &str, child: &str, on_delete: OnDelete) -> Result<Self> {
        let parent: Relation = parent.parse()?;
        let child: Relation = child.parse()?;
        let columns: Vec<&str> = child.columns.iter().map(Ident::as_str).collect();
        let name = format!("{}.{}", child.table.table.as_str(), columns.join("_"));
        if parent.columns.len() != child.columns.len() {
            return Err(Error::config(format!(
                "the parent has {} columns and the child {}",
                parent.columns.len(),
                child.columns.len()
            ))
            .for_definition(&name));
        }
        Ok(Self { name, parent, child, condition: Vec::new(), on_delete, settle_after: SETTLE_AFTER })
    }

    /// Gives it another name.
    #[must_use]
    pub fn named(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Limits it to child rows where `column` has `value`.
    ///
    /// # Errors
    /// When the column is no identifier.
    pub fn only_where(mut self, column: &str, value: impl Into<String>) -> Result<Self> {
        let column = Ident::new(column).map_err(|e| Error::config(e.to_string()).for_definition(&self.name))?;
        self.condition.push((column, value.into()));
        Ok(self)
    }

    /// Sets how long after its delete each key is visited a second time.
    #[must_use]
    pub fn settle_after(mut self, settle_after: Duration) -> Self {
        self.settle_after = settle_after;
        self
    }

    /// Everything that makes it this definition. When it changes under the same name, the definition goes back to observing.
    /// Databases are in it by their configured names: only these say that a definition was moved to another one on purpose.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        let conditions: Vec<String> = self.condition.iter().map(|(c, v)| format!("{}={v:?}", plain(c))).collect();
        format!("{} <- {} where [{}] {}", self.parent, self.child, conditions.join(" and "), self.on_delete)
    }
}

impl fmt::Display for OnDelete {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Delete => f.write_str("delete"),
            Self::SetNull => f.write_str("set_null"),
            Self::Set(values) => {
                let all: Vec<String> = values
                    .iter()
                    .map(|(c, v)| {
                        format!("{} = {}", plain(c), v.as_deref().map_or("NULL".to_owned(), |v| format!("{v:?}")))
                    })
                    .collect();
                write!(f, "set {{ {} }}", all.join(", "))
            }
        }
    }
}

/// What a definition may do at the moment. It is kept in the parent's database and read before every batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Captures and counts, changes nothing. Every new definition begins here.
    Observe,
    /// Cleans.
    Active,
    /// Cleans a share of the keys. Reserved: this version treats it as [`State::Paused`].
    Canary,
    /// Captures; reads nothing, keeps its place in the log.
    Paused,
}

impl State {
    /// The name in SQL, CLI and metrics.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Active => "active",
            Self::Canary => "canary",
            Self::Paused => "paused",
        }
    }

    /// Reads what [`State::as_str`] wrote. A state that this version does not know is treated as paused: leave it alone.
    #[must_use]
    pub fn from_sql(text: &str) -> Self {
        match text {
            "observe" => Self::Observe,
            "active" => Self::Active,
            "canary" => Self::Canary,
            _ => Self::Paused,
        }
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
