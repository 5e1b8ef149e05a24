//! What every kind of definition has in common: the row that `lfk.definition` holds for it, and the trait that the engine
//! installs and works through. Loose foreign keys are one kind; mirrors come from another crate.

use std::fmt;
use std::time::Duration;

use futures::future::BoxFuture;
use lfk_sql::Ident;
use serde::Serialize;

use crate::consumer::{Converge, Turn};
use crate::cursor::Lease;
use crate::database::Database;
use crate::definition::{LooseForeignKey, State};
use crate::error::Result;
use crate::relation::Relation;
use crate::report::Planned;

/// The kinds of definition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Kind {
    /// Children are cleaned when their parent is gone.
    LooseForeignKey,
    /// Columns of a source are kept equal in a target.
    Mirror,
}

impl Kind {
    /// As `lfk.definition` has it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LooseForeignKey => "loose_foreign_key",
            Self::Mirror => "mirror",
        }
    }
}

impl fmt::Display for Kind {
    /// As people say it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LooseForeignKey => "loose foreign key",
            Self::Mirror => "mirror",
        })
    }
}

/// One definition as the databases record it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Declaration {
    /// Unique among everything that is installed in the parent's database.
    pub name: String,
    /// What is done with its keys.
    pub kind: Kind,
    /// The table whose changes are logged, and its key: the parent, or the source of a mirror. Its database is "home".
    pub parent: Relation,
    /// Where the work is done: the child, or the target of a mirror. Its database is "away".
    pub child: Relation,
    /// The action in words.
    pub on_delete: String,
    /// Everything that makes it this definition. When it changes under the same name, the definition goes back to observing.
    pub fingerprint: String,
    /// How long after it was committed each change is visited a second time.
    pub settle_after: Duration,
    /// Columns whose changes are logged beside the key's, and with them every insert. `None`: only keys that go.
    pub watched: Option<Vec<Ident>>,
    /// Names in the expressions of a mirror: those that are columns are watched, too.
    pub mentioned: Vec<String>,
    /// Whether there are expressions at all: the source's server judges them, which takes more than rights on columns.
    pub has_expressions: bool,
    /// Columns of the target that are written beside the key. Empty for loose foreign keys, which say so in their action.
    pub written: Vec<Ident>,
}

impl Declaration {
    /// The consumer that visits each key a second time. Definitions may not have a `~` in their names.
    #[must_use]
    pub fn trailing_consumer(&self) -> String {
        format!("{}~trailing", self.name)
    }

    /// Under which number of its own the table is logged: keys of loose foreign keys share one, each mirror has its own.
    #[must_use]
    pub(crate) fn tracked_for(&self) -> Option<&str> {
        self.watched.as_ref().map(|_| self.name.as_str())
    }

    /// The watched columns as the catalog spells them.
    #[must_use]
    pub(crate) fn watched_names(&self) -> Option<Vec<String>> {
        let watched = self.watched.as_ref()?;
        Some(watched.iter().map(|column| column.as_str().to_owned()).collect())
    }
}

impl From<&LooseForeignKey> for Declaration {
    fn from(definition: &LooseForeignKey) -> Self {
        Self {
            name: definition.name.clone(),
            kind: Kind::LooseForeignKey,
            parent: definition.parent.clone(),
            child: definition.child.clone(),
            on_delete: definition.on_delete.to_string(),
            fingerprint: definition.fingerprint(),
            settle_after: definition.settle_after,
            watched: None,
            mentioned: Vec::new(),
            has_expressions: false,
            written: Vec::new(),
        }
    }
}

/// A definition of any kind, as the engine sees it. Implemented by the crates of lfk only.
pub trait Definition: fmt::Debug + Send + Sync {
    /// What the databases record of it.
    fn declaration(&self) -> &Declaration;

    /// Whether it may be installed and run. Reads catalogs only.
    ///
    /// # Errors
    /// When a database cannot be asked. What is refused is in the answer.
    fn plan<'a>(&'a self, databases: &'a [Database]) -> BoxFuture<'a, Result<Planned>>;

    /// Begins a turn for the holder of the lease: proves that both databases are the pair that was installed, and answers
    /// with whoever does the work. Nothing was changed yet when it fails.
    ///
    /// # Errors
    /// Refused, or a database that is away.
    fn begin<'a>(
        &'a self,
        turn: &'a Turn<'a>,
        lease: &'a Lease,
        state: State,
    ) -> BoxFuture<'a, Result<Box<dyn Converge + 'a>>>;

    /// What is due now and then in the other database, whether or not there is work: about once a minute, from each worker,
    /// beside its rounds. Short statements; may be dropped anywhere.
    ///
    /// # Errors
    /// Told in the log only.
    fn upkeep<'a>(&'a self, _home: &'a Database, _away: &'a Database) -> BoxFuture<'a, Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }
}
