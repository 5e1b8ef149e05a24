//! What an engine is made of, and what can be checked before anything touches a network.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::{Engine, Inner};
use crate::consumer::Loose;
use crate::cursor::LogSql;
use crate::database::Database;
use crate::declaration::{Declaration, Definition};
use crate::definition::LooseForeignKey;
use crate::error::{Error, Result};
use crate::limiter::Limiter;
use crate::patience::DEFAULT_PATIENCE;
use crate::points::Points;
use crate::store::CursorStore;

/// Attempts before a key that is to blame is quarantined.
const DEFAULT_ATTEMPTS: u32 = 8;
/// How long a statement should take: long enough for large batches, too short for anyone to notice.
const DEFAULT_TARGET: Duration = Duration::from_millis(100);
/// How long the key log is kept after it was read.
const DEFAULT_RETENTION: Duration = Duration::from_secs(24 * 3600);
/// The shortest: the second look of a check must still find what its first one saw pending.
const MIN_RETENTION: Duration = Duration::from_secs(600);
/// The longest: eight leaves of four hours, without the current one and the next.
const MAX_RETENTION: Duration = Duration::from_secs(24 * 3600);

/// Collects databases and definitions. Nothing touches the network until the engine is asked to work.
#[derive(Debug)]
pub struct Builder {
    databases: Vec<Database>,
    definitions: Vec<LooseForeignKey>,
    others: Vec<Arc<dyn Definition>>,
    attempts: u32,
    target: Duration,
    retention: Duration,
    patience: Duration,
    points: Points,
    log_sql: LogSql,
    pub(super) cursor_store: Option<Arc<dyn CursorStore>>,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            databases: Vec::new(),
            definitions: Vec::new(),
            others: Vec::new(),
            attempts: DEFAULT_ATTEMPTS,
            target: DEFAULT_TARGET,
            retention: DEFAULT_RETENTION,
            patience: DEFAULT_PATIENCE,
            points: Points::default(),
            log_sql: LogSql::default(),
            cursor_store: None,
        }
    }
}

impl Builder {
    /// Adds a database.
    #[must_use]
    pub fn database(mut self, database: Database) -> Self {
        self.databases.push(database);
        self
    }

    /// Adds definitions.
    #[must_use]
    pub fn definitions(mut self, definitions: impl IntoIterator<Item = LooseForeignKey>) -> Self {
        self.definitions.extend(definitions);
        self
    }

    /// Adds a definition of another kind. For the crates of lfk: `lfk_mirror` does it for mirrors.
    #[doc(hidden)]
    #[must_use]
    pub fn other(mut self, definition: Arc<dyn Definition>) -> Self {
        self.others.push(definition);
        self
    }

    /// Attempts after which a key that the server refuses is quarantined: kept and shown, but not tried again. Default 8.
    #[must_use]
    pub fn quarantine_after(mut self, attempts: u32) -> Self {
        self.attempts = attempts;
        self
    }

    /// How long a statement in a children's database should take; batches grow and shrink towards it. Default 100 ms.
    #[must_use]
    pub fn target_time(mut self, target: Duration) -> Self {
        self.target = target;
        self
    }

    /// How long the key log is kept after everybody has read it: 10 minutes to 24 hours, the default.
    #[must_use]
    pub fn retention(mut self, retention: Duration) -> Self {
        self.retention = retention;
        self
    }

    /// How long install, uninstall, replay and changes of state try to get a lock that somebody else holds, before they end
    /// with [`ErrorKind::TimedOut`](crate::ErrorKind::TimedOut). Default 30 s. None of them ever waits in a lock queue for
    /// longer than a moment.
    #[must_use]
    pub fn patience(mut self, patience: Duration) -> Self {
        self.patience = patience;
        self
    }

    /// Calls `hook` between all statements of a batch. For tests.
    #[cfg(feature = "sabotage")]
    #[must_use]
    pub fn hook(mut self, hook: Arc<dyn crate::points::Hook>) -> Self {
        self.points.hook = Some(hook);
        self
    }

    /// Replaces statements of the reading protocol. For tests that prove that they would notice.
    #[cfg(feature = "sabotage")]
    #[must_use]
    pub fn log_sql(mut self, log_sql: LogSql) -> Self {
        self.log_sql = log_sql;
        self
    }

    /// Checks everything that can be checked without a network.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config): two databases or two definitions of one name, a definition that speaks of a database that is
    /// not there, or a bound of zero.
    pub fn build(self) -> Result<Engine> {
        let mut names = HashSet::new();
        if let Some(twice) = self.databases.iter().find(|d| !names.insert(d.name())) {
            return Err(Error::config("configured twice").in_database(twice.name()));
        }
        let own = self.definitions.iter().map(|d| Arc::new(Loose::from(d.clone())) as Arc<dyn Definition>);
        let all: Vec<Arc<dyn Definition>> = own.chain(self.others).collect();
        let declarations: Vec<Declaration> = all.iter().map(|d| d.declaration().clone()).collect();
        let mut names = HashSet::new();
        for definition in &declarations {
            let name = definition.name.as_str();
            if name.is_empty() || name.len() > 200 {
                return Err(Error::config("a name has 1 to 200 bytes").for_definition(name));
            }
            if name.contains('~') {
                return Err(Error::config("a name may not contain `~`").for_definition(name));
            }
            if !names.insert(name) {
                return Err(Error::config("two definitions have this name")
                    .for_definition(name)
                    .with_hint("give one of them another name: name = \"…\""));
            }
            for end in [&definition.parent.database, &definition.child.database] {
                if !self.databases.iter().any(|d| d.name() == end) {
                    let known: Vec<&str> = self.databases.iter().map(Database::name).collect();
                    return Err(Error::config(format!("there is no database \"{end}\""))
                        .for_definition(name)
                        .with_hint(format!("configured are: {}", known.join(", "))));
                }
            }
        }
        let attempts = i32::try_from(self.attempts).unwrap_or(i32::MAX);
        if attempts == 0 || self.target.is_zero() {
            return Err(Error::config("quarantine_after and target_time must be above zero"));
        }
        if !(MIN_RETENTION..=MAX_RETENTION).contains(&self.retention) {
            return Err(Error::config("the retention must be between 10 minutes and 24 hours"));
        }
        let limiters =
            self.databases.iter().map(|d| (d.name().to_owned(), Arc::new(Limiter::new(d.limits())))).collect();
        Ok(Engine {
            inner: Arc::new(Inner {
                databases: self.databases,
                definitions: self.definitions,
                all,
                declarations,
                limiters,
                attempts,
                target: self.target,
                retention: self.retention,
                patience: self.patience,
                points: self.points,
                log_sql: self.log_sql,
                cursor_store: self.cursor_store,
            }),
        })
    }
}
